// SPDX-License-Identifier: BSD-2-Clause

// Leaks in C called from Go: from main, from a goroutine, and below a Go function called from C.
package main

/*
#include <stdlib.h>
static void *leak(int size) { return malloc(size); }
extern void calledFromC(void);
static void call_go(void) { calledFromC(); }
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
)

//go:noinline
func leakHere(size int) {
	C.leak(C.int(size))
}

//go:noinline
func descend(depth int) {
	if depth == 0 {
		leakHere(100003)
		return
	}
	descend(depth - 1)
}

//go:noinline
func inGoroutine(done chan bool) {
	leakHere(100019)
	done <- true
}

//export calledFromC
func calledFromC() {
	leakHere(100035)
}

//go:noinline
func throughC() {
	C.call_go()
}

func main() {
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	descend(5)
	done := make(chan bool)
	go inGoroutine(done)
	<-done
	throughC()
	fmt.Println(`{"leak":"Go: main through cgo","size":100003,"frames":[]}`)
	fmt.Println(`{"leak":"Go: goroutine through cgo","size":100019,"frames":[]}`)
	fmt.Println(`{"leak":"Go: Go called from C called from Go","size":100035,"frames":[]}`)
}
