/* The report's data, and how figures are written; everything else hangs off this object. */
const memleak = (function () {
	"use strict";
	const classes = ["unknown", "leak", "growing", "cache", "steady", "startup"];
	const kinds = ["native", "jit", "kernel", "python", "java"];
	const ends = [null, null, "The stack goes on, but its memory could not be read.",
		"The stack goes on, but the last frame\u2019s code has no unwind information.",
		"The stack goes on beyond the depth limit (--perf-max-stack-depth).",
		"The stack was lost: no room for its frames, or they could not be read back."];
	const raw = JSON.parse(document.getElementById("data").textContent);

	function text(index) {
		return index ? raw.texts[index] : null;
	}

	const excerpts = raw.excerpts.map(function (excerpt) {
		return { firstLine: excerpt[0], lines: excerpt[1] };
	});

	const frames = raw.frames.map(function (row) {
		const frame = {
			symbol: text(row[0]), shortSymbol: text(row[1]) || text(row[0]), module: text(row[2]),
			file: text(row[3]), line: row[4], offset: row[5], isInlined: (row[6] & 1) !== 0,
			isInterpreter: (row[6] & 2) !== 0, kind: kinds[row[6] >> 2],
			excerpt: row[7] ? excerpts[row[7] - 1] : null
		};
		frame.name = frame.shortSymbol || frame.offset;
		frame.place = frame.file ? frame.file + (frame.line ? ":" + frame.line : "") : "";
		frame.shortPlace = frame.place.slice(frame.place.lastIndexOf("/") + 1);
		frame.haystack = [frame.symbol, frame.shortSymbol, frame.offset, frame.module, frame.place].join("\n").toLowerCase();
		return frame;
	});

	/* Values at the moments of raw.times from `first` on, every `step`th. */
	function history(row) {
		const step = row[0], first = row[1], values = row.slice(2);
		const count = first < raw.times.length ? Math.floor((raw.times.length - 1 - first) / step) + 1 : 0;
		const points = [];
		for (let i = 0; i < count; i++)
			points.push({ time: raw.times[first + i * step], value: values.length > 1 ? values[i] : values[0] });
		return points;
	}

	const sites = raw.sites.map(function (row, rank) {
		const site = {
			rank: rank, id: row[0], pid: row[1], comm: text(row[2]), bytes: row[3], count: row[4], allocs: row[5],
			frees: row[6], oldest: row[7], newest: row[8], verdict: classes[row[9]], confidence: row[10],
			growth: row[11] || 0, why: text(row[12]), end: ends[row[13]],
			frames: row[14].map(function (index) { return frames[index]; }), frameIndices: row[14],
			/* Of the few sites that are looked at, when they are. */
			get points() {
				return history(row[15]);
			},
			get blocks() {
				return row[16].map(function (block) {
					return { address: block[0], size: block[1], age: block[2], thread: block[3] };
				});
			}
		};
		site.front = site.frames.find(function (frame) { return !frame.isInterpreter; }) || null;
		site.owner = row[17] ? site.frames[row[17] - 1] : site.front;
		site.name = site.owner ? site.owner.name : "[stack lost]";
		return site;
	});

	function bytes(value) {
		const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
		let unit = -1, size = Math.abs(value);
		for (; size >= 1024 && unit + 1 < units.length; unit++)
			size /= 1024;
		const sign = value < 0 ? "\u2212" : "";
		return sign + (unit < 0 ? Math.round(size) + " B" : size.toFixed(1) + " " + units[unit]);
	}

	function duration(ms) {
		const seconds = ms / 1000;
		if (seconds < 10)
			return seconds.toFixed(1) + " s";
		if (seconds < 180)
			return Math.round(seconds) + " s";
		if (seconds < 3 * 3600)
			return Math.round(seconds / 60) + " min";
		return seconds < 3 * 86400 ? (seconds / 3600).toFixed(1) + " h" : (seconds / 86400).toFixed(1) + " days";
	}

	function number(value) {
		return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
	}

	function count(value, noun) {
		return number(value) + " " + noun + (value === 1 ? "" : "s");
	}

	/* An element; children are elements or text, and text is never markup. */
	function element(tag, attributes) {
		const isDrawing = /^(svg|g|path|line|text|circle|rect|title)$/.test(tag);
		const made = isDrawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
		for (const name in attributes)
			made.setAttribute(name, attributes[name]);
		made.append.apply(made, Array.prototype.slice.call(arguments, 2));
		return made;
	}

	function series(times, values) {
		return times.map(function (time, i) { return { time: time, value: values[i] }; });
	}

	return {
		paperWidth: 700, sites: sites, frames: frames, classes: classes, isManyProcesses: raw.isManyProcesses,
		total: series(raw.times, raw.total), resident: series(raw.residentTimes, raw.resident),
		bytes: bytes, duration: duration, number: number, count: count, element: element
	};
})();
