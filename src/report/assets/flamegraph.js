(function () {
	"use strict";
	/* Widths of the drawing and of a character of the frames' font, as the writer has them. */
	var svg = document.querySelector("svg.flames"), width = 1200, character = 6.65;
	var box = svg.querySelector(".frames"), status = svg.querySelector(".status");
	var flames = Array.prototype.map.call(box.querySelectorAll(".f"), function (group) {
		var full = group.querySelector("title").textContent;
		return {
			group: group, rect: group.querySelector("rect"), text: group.querySelector("text"),
			x: +group.getAttribute("data-x"), w: +group.getAttribute("data-w"),
			depth: +group.getAttribute("data-d"), name: full.split("\n")[0], full: full
		};
	});

	function fit(name, pixels) {
		var room = Math.floor((pixels - 6) / character);
		if (room < 3)
			return "";
		return name.length <= room ? name : name.slice(0, room - 1) + "\u2026";
	}

	function zoom(to) {
		flames.forEach(function (flame) {
			var isAbove = flame.depth < to.depth && flame.x <= to.x + 1e-9 &&
				flame.x + flame.w >= to.x + to.w - 1e-9;
			var isInside = flame.depth >= to.depth && flame.x >= to.x - 1e-9 &&
				flame.x + flame.w <= to.x + to.w + 1e-9;
			flame.group.style.display = isAbove || isInside ? "" : "none";
			flame.group.classList.toggle("above", isAbove);
			if (!isAbove && !isInside)
				return;
			var x = isAbove ? 0 : (flame.x - to.x) / to.w * width;
			var w = isAbove ? width : flame.w / to.w * width;
			flame.rect.setAttribute("x", x);
			flame.rect.setAttribute("width", w);
			flame.text.setAttribute("x", x + 3);
			flame.text.textContent = fit(flame.name, w);
		});
		svg.querySelector(".reset").style.display = to === flames[0] ? "none" : "";
	}

	/* The share of what matches: a match inside another one is counted once. */
	function search(term) {
		var end = -1, sum = 0, needle = term.toLowerCase();
		box.classList.toggle("searched", term !== "");
		var hits = flames.filter(function (flame) {
			var isHit = term !== "" && flame.name.toLowerCase().indexOf(needle) >= 0;
			flame.group.classList.toggle("hit", isHit);
			return isHit;
		});
		hits.sort(function (a, b) { return a.x - b.x || b.w - a.w; }).forEach(function (flame) {
			if (flame.x + 1e-9 < end)
				return;
			sum += flame.w;
			end = flame.x + flame.w;
		});
		status.textContent = term === "" ? "" :
			hits.length + " frames match, " + (100 * sum).toFixed(1) + " % of the bytes";
	}

	function ask() {
		var term = window.prompt("Show frames whose name contains", "");
		if (term !== null)
			search(term.trim());
	}

	function flameOf(target) {
		var group = target.closest && target.closest(".f");
		return flames.filter(function (flame) { return flame.group === group; })[0];
	}

	box.addEventListener("click", function (event) {
		var flame = flameOf(event.target);
		if (flame)
			zoom(flame);
	});
	box.addEventListener("mouseover", function (event) {
		var flame = flameOf(event.target);
		if (flame && !box.classList.contains("searched"))
			status.textContent = flame.full.split("\n").join("  \u00b7  ");
	});
	svg.querySelector(".reset").addEventListener("click", function () { zoom(flames[0]); });
	svg.querySelector(".search").addEventListener("click", ask);
	document.addEventListener("keydown", function (event) {
		if (event.key === "f" && (event.ctrlKey || event.metaKey)) {
			event.preventDefault();
			ask();
		} else if (event.key === "Escape") {
			search("");
			zoom(flames[0]);
		} else if (event.key === "Enter" && flameOf(event.target)) {
			zoom(flameOf(event.target));
		}
	});
	zoom(flames[0]);
})();
