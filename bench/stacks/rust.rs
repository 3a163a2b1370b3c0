// SPDX-License-Identifier: BSD-2-Clause
//! Leaks in Rust: below a closure, a trait object, a thread and while a panic unwinds.
use std::ffi::{c_char, CString};

extern "C" {
    fn leak_told_by_c(name: *const c_char);
    fn leak_ready_in_c();
}

#[inline(never)]
fn leak(name: &str) {
    let name = CString::new(name).unwrap();
    unsafe { leak_told_by_c(name.as_ptr()) };
}

trait Work {
    fn work(&self);
}

struct Leaking;

impl Work for Leaking {
    #[inline(never)]
    fn work(&self) {
        leak("Rust: trait object");
    }
}

struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        leak("Rust: drop while a panic unwinds");
    }
}

fn main() {
    unsafe { leak_ready_in_c() };
    let works: Vec<Box<dyn Work>> = vec![Box::new(Leaking)];
    works.iter().for_each(|work| work.work());
    std::thread::spawn(|| leak("Rust: thread")).join().unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let _ = std::panic::catch_unwind(|| {
        let _cleanup = Cleanup;
        panic!("thrown");
    });
}
