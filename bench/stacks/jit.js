// SPDX-License-Identifier: BSD-2-Clause
// Leaks native memory from interpreted and from optimized JavaScript.
const fs = require('fs');
const kept = [];

function leak(size) {
	kept.push(Buffer.allocUnsafeSlow(size));
}

function hot(count) {
	let sum = 0;
	for (let i = 0; i < count; i++)
		sum += i % 7;
	leak(100019 + (sum & 0));
	return sum;
}

fs.writeSync(1, 'ready\n');
fs.readSync(0, Buffer.alloc(1));
leak(100003);
for (let i = 0; i < 300; i++) {
	if (i === 299)
		kept.push('last');
	hot(20000);
	if (i < 299)
		kept.pop();
}
console.log('{"leak":"node, interpreted","size":100003,"frames":[]}');
console.log('{"leak":"node, compiled","size":100019,"frames":[]}');
