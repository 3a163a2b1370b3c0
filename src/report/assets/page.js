/* Puts the page together. */
(function () {
	"use strict";
	const element = memleak.element;
	const curves = 5;

	function show(id) {
		const section = document.getElementById(id);
		section.hidden = false;
		return section;
	}

	/* The sites with a line of their own: those that leak or grow, then the biggest. */
	function topSites() {
		const rank = { leak: 0, growing: 1 };
		return memleak.sites.slice().sort(function (a, b) {
			const first = (rank[a.verdict] === undefined ? 2 : rank[a.verdict]);
			const second = (rank[b.verdict] === undefined ? 2 : rank[b.verdict]);
			return first - second || (first < 2 ? b.growth - a.growth : 0) || a.rank - b.rank;
		}).slice(0, curves);
	}

	function legend(lines, table) {
		const list = element("ul", { "class": "legend" });
		lines.forEach(function (line) {
			const swatch = element("i", { "class": "swatch " + line.kind });
			if (!line.site) {
				list.append(element("li", {}, swatch, line.name));
				return;
			}
			const button = element("button", { type: "button", title: "Show this site" }, line.name);
			button.addEventListener("click", function () { table.open(line.site.id); });
			list.append(element("li", {}, swatch, button, " ", element("span", { "class": "soft" }, line.site.verdict)));
		});
		return list;
	}

	function drawMemory(table) {
		const lines = [{ name: "All outstanding", points: memleak.total, kind: "total" }];
		topSites().forEach(function (site, i) {
			if (site.points.length)
				lines.push({ name: site.name, points: site.points, kind: "c" + (i + 1), site: site });
		});
		if (memleak.total.length < 2 && memleak.resident.length < 2)
			return;
		show("memory");
		const outstanding = document.getElementById("outstanding-chart");
		outstanding.append(element("h3", {}, "Outstanding, and the sites that matter most"));
		memleak.chart(outstanding, { label: "Outstanding bytes over time", height: 240, lines: lines });
		outstanding.append(legend(lines, table));
		if (memleak.resident.length < 2)
			return;
		const resident = document.getElementById("resident-chart");
		resident.append(element("h3", {}, "Resident memory of the process"));
		memleak.chart(resident, { label: "Resident memory over time", height: 110,
			lines: [{ name: "Resident", points: memleak.resident, kind: "total" }] });
	}

	function isDark() {
		const chosen = document.documentElement.dataset.theme;
		return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
	}

	function setUpTheme() {
		const button = document.getElementById("theme");
		function name() {
			button.textContent = isDark() ? "Light theme" : "Dark theme";
		}
		button.addEventListener("click", function () {
			document.documentElement.dataset.theme = isDark() ? "light" : "dark";
			name();
		});
		window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
		button.hidden = false;
		name();
	}

	/* Zooming into a frame offers the sites below it. */
	function setUpFlames(table) {
		const button = element("button", { type: "button", hidden: "" });
		let name = "";
		document.querySelector(".flame-controls .flame-status").before(button);
		document.querySelector("svg.flames").addEventListener("zoomed", function (event) {
			name = event.detail.replace(/ \[[^\]]*\]$/, "");
			button.hidden = name === "";
			button.textContent = "Show its sites";
		});
		button.addEventListener("click", function () {
			table.filter(name);
			document.getElementById("sites").scrollIntoView();
		});
	}

	show("sites");
	const table = memleak.table(document.getElementById("site-table"));
	drawMemory(table);
	setUpTheme();
	setUpFlames(table);
	document.addEventListener("keydown", function (event) {
		if (event.key !== "/" || event.ctrlKey || event.metaKey || /INPUT|SELECT/.test(event.target.tagName))
			return;
		event.preventDefault();
		table.search.focus();
	});
})();
