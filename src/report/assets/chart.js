/* Lines over time: memleak.chart(parent, {label, lines: [{name, points, kind}], height}). */
memleak.chart = function (parent, options) {
	"use strict";
	const element = memleak.element;
	const left = 76, right = 12, top = 10, bottom = 24, height = options.height;
	const lines = options.lines.filter(function (line) { return line.points.length; });
	const last = Math.max.apply(null, lines.map(function (line) { return line.points[line.points.length - 1].time; }));
	const first = Math.min.apply(null, lines.map(function (line) { return line.points[0].time; }));
	const most = Math.max.apply(null, lines.map(function (line) {
		return line.points.reduce(function (high, point) { return Math.max(high, point.value); }, 0);
	}));
	const moments = Array.from(new Set([].concat.apply([], lines.map(function (line) {
		return line.points.map(function (point) { return point.time; });
	})))).sort(function (a, b) { return a - b; });
	const box = element("div", { "class": "chart" }), tip = element("div", { "class": "tip", hidden: "" });
	let width = 0, at = moments.length - 1, cursor = null;

	/* A step of 1, 2, 4, 8, and so on, bytes, so that the labels are round numbers of them. */
	function byteStep(range) {
		let step = 1;
		while (range / step > 4)
			step *= 2;
		return step;
	}

	function timeStep(range) {
		const steps = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 12e5, 18e5, 36e5, 72e5,
			144e5, 216e5, 432e5, 864e5, 1728e5, 6048e5];
		const fits = steps.find(function (step) { return range / step <= Math.max(width / 110, 2); });
		return fits || Math.ceil(range / 6048e5 / 4) * 6048e5;
	}

	function timeLabel(ms) {
		const seconds = ms / 1000;
		if (last < 180e3)
			return +seconds.toFixed(1) + " s";
		if (last < 3 * 3600e3)
			return +(seconds / 60).toFixed(1) + " min";
		return last < 3 * 86400e3 ? +(seconds / 3600).toFixed(1) + " h" : +(seconds / 86400).toFixed(1) + " d";
	}

	const unit = byteStep(most || 1), high = Math.max(Math.ceil(most / unit), 1) * unit;

	function x(time) {
		return left + (width - left - right) * (last > first ? (time - first) / (last - first) : 1);
	}

	function y(value) {
		return top + (height - top - bottom) * (1 - value / high);
	}

	function label(value) {
		return memleak.bytes(value).replace(/\.0 /, " ");
	}

	function pathOf(points) {
		return points.map(function (point, i) {
			return (i ? "L" : "M") + x(point.time).toFixed(1) + " " + y(point.value).toFixed(1);
		}).join("");
	}

	function axes(svg) {
		for (let value = 0; value <= high; value += unit)
			svg.append(element("line", { "class": "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
				element("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, label(value)));
		const step = timeStep(last - first || 1);
		for (let time = Math.ceil(first / step) * step; time <= last; time += step)
			svg.append(element("text", { x: x(time), y: height - 6, "text-anchor": "middle" }, timeLabel(time)));
	}

	/* On paper, at the width of a page, so that the labels keep their size. */
	function drawForPaper() {
		draw(memleak.paperWidth);
	}

	function draw(wanted) {
		const now = wanted > 0 ? wanted : box.clientWidth;
		if (!now || now === width)
			return;
		width = now;
		const svg = element("svg", { viewBox: "0 0 " + width + " " + height, width: "100%", role: "img",
			"aria-label": options.label + ". " + summary() });
		axes(svg);
		lines.forEach(function (line) {
			const path = pathOf(line.points);
			const end = line.points[line.points.length - 1];
			if (line.kind === "total")
				svg.append(element("path", { "class": "area", d: path + "L" + x(end.time) + " " + y(0) + "L" +
					x(line.points[0].time) + " " + y(0) + "Z" }));
			svg.append(element("path", { "class": "line " + line.kind, d: path }));
			if (line.points.length === 1)
				svg.append(element("circle", { "class": "dot " + line.kind, cx: x(end.time), cy: y(end.value), r: 3 }));
		});
		cursor = element("line", { "class": "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
		svg.append(cursor);
		box.replaceChildren(svg, tip);
	}

	function valueAt(line, time) {
		let found = null;
		for (const point of line.points)
			if (point.time <= time)
				found = point;
		return found;
	}

	function summary() {
		return lines.map(function (line) {
			const end = line.points[line.points.length - 1];
			return line.name + ": " + memleak.bytes(line.points[0].value) + " at first, " + memleak.bytes(end.value) + " at the end";
		}).join("; ");
	}

	function point(index) {
		at = Math.min(Math.max(index, 0), moments.length - 1);
		const time = moments[at];
		const rows = lines.map(function (line) {
			const found = valueAt(line, time);
			return element("div", {}, element("i", { "class": "swatch " + line.kind }), line.name, " ",
				element("b", {}, found ? memleak.bytes(found.value) : "\u2013"));
		});
		tip.replaceChildren.apply(tip, [element("div", { "class": "soft" }, "after " + memleak.duration(time))].concat(rows));
		tip.hidden = false;
		cursor.setAttribute("x1", x(time));
		cursor.setAttribute("x2", x(time));
		cursor.setAttribute("visibility", "visible");
		const room = width - tip.offsetWidth - 8;
		tip.style.left = Math.min(Math.max(x(time) + (x(time) > width / 2 ? -tip.offsetWidth - 12 : 12), 0), room) + "px";
	}

	function hide() {
		tip.hidden = true;
		if (cursor)
			cursor.setAttribute("visibility", "hidden");
	}

	if (!lines.length || !isFinite(last))
		return;
	box.tabIndex = 0;
	box.setAttribute("role", "group");
	box.setAttribute("aria-label", options.label + "; left and right arrow keys tell the values");
	tip.setAttribute("role", "status");
	box.addEventListener("pointermove", function (event) {
		const place = event.clientX - box.getBoundingClientRect().left;
		let nearest = 0;
		moments.forEach(function (time, i) {
			if (Math.abs(x(time) - place) < Math.abs(x(moments[nearest]) - place))
				nearest = i;
		});
		point(nearest);
	});
	box.addEventListener("pointerleave", hide);
	box.addEventListener("blur", hide);
	box.addEventListener("keydown", function (event) {
		if (event.key !== "ArrowLeft" && event.key !== "ArrowRight")
			return;
		event.preventDefault();
		point(tip.hidden ? at : at + (event.key === "ArrowLeft" ? -1 : 1));
	});
	parent.append(box);
	window.addEventListener("resize", draw);
	window.addEventListener("beforeprint", drawForPaper);
	window.addEventListener("afterprint", draw);
	draw();
};

/* A line without axes, for a row of a table. */
memleak.sparkline = function (points) {
	"use strict";
	const width = 96, height = 22;
	if (points.length < 2)
		return "";
	const first = points[0].time, span = points[points.length - 1].time - first || 1;
	const most = points.reduce(function (high, point) { return Math.max(high, point.value); }, 1);
	const path = points.map(function (point, i) {
		return (i ? "L" : "M") + (1 + (width - 2) * (point.time - first) / span).toFixed(1) + " " +
			(height - 2 - (height - 4) * point.value / most).toFixed(1);
	}).join("");
	return memleak.element("svg", { "class": "spark", width: width, height: height, viewBox: "0 0 " + width + " " + height,
		"aria-hidden": "true" }, memleak.element("path", { d: path }));
};
