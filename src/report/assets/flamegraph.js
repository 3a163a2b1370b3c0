(function () {
	"use strict";
	/* Width of a character of the frames' font and the margin, as the writer has them. */
	const character = 6.65, margin = 16, slack = 1e-9, legendWidth = 500, paperWidth = 730;
	const svg = document.querySelector("svg.flames");
	const height = svg.viewBox.baseVal.height;
	const box = svg.querySelector(".frames"), holder = svg.querySelector("foreignObject");
	const byGroup = new Map();
	const flames = Array.from(box.children, function (group) {
		const full = group.querySelector("title").textContent;
		const flame = {
			group: group, rect: group.querySelector("rect"), text: group.querySelector("text"),
			x: +group.dataset.x, w: +group.dataset.w, depth: +group.dataset.d,
			name: full.split("\n")[0], full: full, isShown: true
		};
		group.setAttribute("role", "button");
		group.setAttribute("tabindex", "-1");
		byGroup.set(group, flame);
		return flame;
	});
	let width = svg.viewBox.baseVal.width - 2 * margin, zoomed = flames[0], current = flames[0];

	function control(tag, attributes, text) {
		const element = document.createElementNS("http://www.w3.org/1999/xhtml", tag);
		for (const name in attributes)
			element.setAttribute(name, attributes[name]);
		element.textContent = text || "";
		return element;
	}

	const input = control("input", { type: "search", placeholder: "Search frames",
		"aria-label": "Search the flame graph's frames" });
	const color = control("select", { "aria-label": "Colour of the frames" });
	const reset = control("button", { type: "button" }, "Reset zoom");
	const status = control("span", { "class": "flame-status", role: "status" });

	function fit(name, pixels) {
		const room = Math.floor((pixels - 6) / character);
		const characters = Array.from(name);
		if (room < 3)
			return "";
		return characters.length <= room ? name : characters.slice(0, room - 1).join("") + "\u2026";
	}

	function isWithin(inner, outer) {
		return inner.x >= outer.x - slack && inner.x + inner.w <= outer.x + outer.w + slack;
	}

	function layOut() {
		flames.forEach(function (flame) {
			const isAbove = flame.depth < zoomed.depth && isWithin(zoomed, flame);
			flame.isShown = isAbove || (flame.depth >= zoomed.depth && isWithin(flame, zoomed));
			flame.group.style.display = flame.isShown ? "" : "none";
			if (!flame.isShown)
				return;
			const x = isAbove ? 0 : (flame.x - zoomed.x) / zoomed.w * width;
			const w = isAbove ? width : flame.w / zoomed.w * width;
			flame.group.classList.toggle("above", isAbove);
			flame.rect.setAttribute("x", x.toFixed(3));
			flame.rect.setAttribute("width", w.toFixed(3));
			flame.text.setAttribute("x", (x + 3).toFixed(3));
			flame.text.textContent = fit(flame.name, w);
		});
		reset.hidden = zoomed === flames[0];
	}

	function zoom(to) {
		zoomed = to;
		layOut();
		svg.dispatchEvent(new CustomEvent("zoomed", { detail: to === flames[0] ? "" : to.name }));
	}

	function select(flame) {
		current.group.setAttribute("tabindex", "-1");
		current = flame;
		current.group.setAttribute("tabindex", "0");
	}

	function tell(text) {
		status.textContent = status.title = text;
	}

	/* The share of what matches: a match inside another one is counted once. */
	function search(term) {
		const needle = term.toLowerCase();
		let end = -1, sum = 0;
		svg.classList.toggle("searched", term !== "");
		const hits = flames.filter(function (flame) {
			const isHit = term !== "" && flame.name.toLowerCase().includes(needle);
			flame.group.classList.toggle("hit", isHit);
			return isHit;
		});
		hits.sort(function (a, b) { return a.x - b.x || b.w - a.w; }).forEach(function (flame) {
			if (flame.x + slack < end)
				return;
			sum += flame.w;
			end = flame.x + flame.w;
		});
		tell(term === "" ? "" : hits.length + (hits.length === 1 ? " frame matches, " : " frames match, ") +
			(100 * sum).toFixed(1) + " % of the bytes");
	}

	/* The frame an arrow key leads to: outwards, inwards to the biggest, or beside. */
	function neighbour(key) {
		const depth = current.depth + (key === "ArrowUp" ? -1 : key === "ArrowDown" ? 1 : 0);
		const beside = flames.filter(function (flame) { return flame.isShown && flame.depth === depth; });
		if (key === "ArrowUp")
			return beside.find(function (flame) { return isWithin(current, flame); });
		if (key === "ArrowDown")
			return beside.filter(function (flame) { return isWithin(flame, current); })
				.sort(function (a, b) { return b.w - a.w; })[0];
		beside.sort(function (a, b) { return a.x - b.x; });
		return beside[beside.indexOf(current) + (key === "ArrowLeft" ? -1 : 1)];
	}

	function flameOf(target) {
		return byGroup.get(target.closest(".f"));
	}

	/* Drawn in pixels of the screen, so that text has the same size on any. */
	function resize(wanted) {
		const pixels = wanted > 0 ? wanted : svg.clientWidth || svg.getBoundingClientRect().width;
		if (!pixels)
			return;
		width = Math.max(pixels - 2 * margin, 280);
		svg.setAttribute("viewBox", -margin + " 0 " + (width + 2 * margin) + " " + height);
		svg.querySelectorAll(".by-verdict, .by-growth").forEach(function (legend) {
			legend.setAttribute("transform", "scale(" + Math.min(1, width / legendWidth).toFixed(3) + ")");
		});
		if (holder)
			holder.setAttribute("width", width);
		layOut();
	}

	box.addEventListener("click", function (event) {
		const flame = flameOf(event.target);
		if (!flame)
			return;
		select(flame);
		zoom(flame);
	});
	box.addEventListener("mouseover", function (event) {
		const flame = flameOf(event.target);
		if (flame && !svg.classList.contains("searched"))
			tell(flame.full.split("\n").join("  \u00b7  "));
	});
	box.addEventListener("focusin", function (event) {
		const flame = flameOf(event.target);
		if (flame)
			tell(flame.full.split("\n").join("  \u00b7  "));
	});
	box.addEventListener("keydown", function (event) {
		const next = event.key.startsWith("Arrow") ? neighbour(event.key) : null;
		if (event.key === "Enter" || event.key === " ")
			zoom(current);
		else if (event.key === "Escape")
			zoom(flames[0]);
		else if (next)
			select(next);
		else
			return;
		event.preventDefault();
		current.group.focus();
	});
	input.addEventListener("input", function () { search(input.value.trim()); });
	input.addEventListener("keydown", function (event) {
		if (event.key !== "Escape")
			return;
		input.value = "";
		search("");
	});
	color.addEventListener("change", function () {
		svg.classList.toggle("growth", color.value === "growth");
	});
	reset.addEventListener("click", function () { zoom(flames[0]); });
	window.addEventListener("resize", resize);
	window.addEventListener("beforeprint", function () { resize(paperWidth); });
	window.addEventListener("afterprint", resize);

	color.append(control("option", { value: "verdict" }, "Colour: verdict"),
		control("option", { value: "growth" }, "Colour: growth"));
	document.querySelector(".flame-controls").append(input, color, reset, status);
	select(flames[0]);
	resize();
	layOut();
})();
