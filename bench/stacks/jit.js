// SPDX-License-Identifier: BSD-2-Clause
// Leaks native memory from interpreted and from optimized JavaScript.
const fs = require('fs');
const kept = [];

function leak(size) {
	kept.push(Buffer.allocUnsafeSlow(size));
}

function hot(count, size) {
	let sum = 0;
	for (let i = 0; i < count; i++)
		sum += i % 7;
	leak(size);
	return sum;
}

fs.writeSync(1, 'ready\n');
fs.readSync(0, Buffer.alloc(1));
leak(100003);
for (let i = 0; i < 300; i++)
	hot(20000, i < 299 ? 64 : 100019);
fs.writeSync(1, '{"leak":"node, interpreted","size":100003,"frames":[]}\n');
fs.writeSync(1, '{"leak":"node, compiled","size":100019,"frames":[]}\n');
// A moment to read names in; at an ordinary end node frees them.
setTimeout(() => process.kill(process.pid, 'SIGKILL'), 3000);
