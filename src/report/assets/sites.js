/* The table of sites: memleak.table(parent) gives {filter(text), open(id)}. A page of rows at a time, so
 * that ten thousand sites cost no more than fifty. */
memleak.table = function (parent) {
	"use strict";
	const element = memleak.element, perPage = 50;
	const suspicion = { leak: 0, growing: 1, unknown: 2, cache: 3, startup: 4, steady: 5 };
	const all = memleak.sites, opened = new Set();
	const most = all.reduce(function (high, site) { return Math.max(high, site.bytes); }, 1);
	const columns = [
		{ key: "verdict", name: "Verdict", isFirstUp: true, order: function (a, b) {
			return suspicion[a.verdict] - suspicion[b.verdict] ||
				(suspicion[a.verdict] < 2 ? b.growth - a.growth : 0) || a.rank - b.rank;
		} },
		{ key: "bytes", name: "Outstanding", order: function (a, b) { return a.bytes - b.bytes; } },
		{ key: "count", name: "Blocks", order: function (a, b) { return a.count - b.count; } },
		{ key: "growth", name: "Growth", order: function (a, b) { return a.growth - b.growth; } },
		{ key: "oldest", name: "Oldest", order: function (a, b) { return a.oldest - b.oldest; } },
		{ key: "trend", name: "Trend" },
		{ key: "where", name: "Allocated by", isFirstUp: true,
			order: function (a, b) { return a.name < b.name ? -1 : a.name > b.name ? 1 : 0; } }
	];
	let sortedBy = columns[0], isUp = true, verdict = "", term = "", page = 0, shown = [];

	function matching() {
		const needle = term.toLowerCase();
		const hits = memleak.frames.map(function (frame) { return frame.haystack.includes(needle); });
		return all.filter(function (site) {
			if (verdict && site.verdict !== verdict)
				return false;
			return !needle || site.frameIndices.some(function (index) { return hits[index]; }) || site.id === needle ||
				(memleak.isManyProcesses && (site.comm + " " + site.pid).toLowerCase().includes(needle));
		});
	}

	function placeOf(frame) {
		return element("span", { "class": "place soft", title: frame.place },
			[frame.shortPlace, frame.module].filter(Boolean).join(" \u00b7 "));
	}

	function tags(frame) {
		const words = [];
		if (frame.isInlined)
			words.push("inlined");
		if (frame.isInterpreter)
			words.push("interpreter");
		if (frame.kind !== "native" && frame.kind !== "kernel")
			words.push(frame.kind);
		return words.map(function (word) { return element("span", { "class": "tag" }, word); });
	}

	function excerptOf(frame) {
		const code = element("code", { "class": "source", tabindex: "0", "aria-label": "Source of " + frame.place });
		frame.excerpt.lines.forEach(function (line, i) {
			const isMeant = frame.excerpt.firstLine + i === frame.line;
			code.append(element("span", { "class": isMeant ? "meant" : "" },
				element("span", { "class": "line-number", "aria-hidden": "true" }, String(frame.excerpt.firstLine + i)), line + "\n"));
		});
		return code;
	}

	function frameItem(frame, isOwner, isOpen) {
		const item = element("li", {}, element("code", { "class": "name", title: frame.symbol || "" }, frame.symbol ? frame.name :
			"0x".concat(frame.offset.replace(/^0x/, ""))));
		if (isOwner)
			item.append(" ", element("span", { "class": "tag owner" }, "look here"));
		tags(frame).forEach(function (tag) { item.append(" ", tag); });
		item.append(" ", element("span", { "class": "place soft" }, [frame.place, frame.module].filter(Boolean).join(" \u00b7 ")));
		if (!frame.excerpt)
			return item;
		const details = element("details", isOpen ? { open: "" } : {}, element("summary", {}, "source"), excerptOf(frame));
		item.append(details);
		return item;
	}

	function stackOf(site) {
		const list = element("ol", { "class": "stack" });
		const open = site.owner && site.owner.excerpt ? site.owner :
			site.frames.find(function (frame) { return frame.excerpt !== null; });
		site.frames.forEach(function (frame) {
			if (!frame.isInterpreter)
				list.append(frameItem(frame, frame === site.owner, frame === open));
		});
		if (site.end)
			list.append(element("li", { "class": "end soft" }, site.end));
		return list;
	}

	function fact(list, name, value) {
		list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
	}

	function factsOf(site) {
		const facts = element("dl", { "class": "facts" });
		fact(facts, "Allocated", memleak.count(site.allocs, "block"));
		fact(facts, "Freed", memleak.count(site.frees, "block"));
		if (site.oldest >= 0)
			fact(facts, "Oldest", memleak.duration(site.oldest));
		if (site.newest >= 0)
			fact(facts, "Newest", memleak.duration(site.newest));
		if (memleak.isManyProcesses)
			fact(facts, "Process", (site.comm || "?") + " (" + site.pid + ")");
		fact(facts, "Site", site.id);
		return facts;
	}

	function blocksOf(site) {
		const table = element("table", { "class": "blocks" }, element("caption", {}, "Its oldest blocks"),
			element("tr", {}, element("th", { scope: "col" }, "Address"), element("th", { scope: "col" }, "Size"),
				element("th", { scope: "col" }, "Age"), element("th", { scope: "col" }, "Thread")));
		site.blocks.forEach(function (block) {
			table.append(element("tr", {}, element("td", {}, element("code", {}, block.address)),
				element("td", {}, memleak.bytes(block.size)), element("td", {}, memleak.duration(block.age)),
				element("td", {}, String(block.thread))));
		});
		return table;
	}

	function detailsOf(site) {
		const panel = element("div", { "class": "panel" });
		const cell = element("td", { colspan: columns.length }, panel);
		panel.append(element("p", { "class": "why" }, site.why || ""), factsOf(site));
		panel.append(element("div", { "class": "site-chart" }), stackOf(site));
		if (site.blocks.length)
			panel.append(blocksOf(site));
		return element("tr", { "class": "details", id: "details-" + site.id }, cell);
	}

	/* A chart has to be in the page to know its width. */
	function drawChart(row, site) {
		if (site.points.length > 1)
			memleak.chart(row.querySelector(".site-chart"), { label: "Live bytes of this site", height: 130,
				lines: [{ name: "Live", points: site.points, kind: "total" }] });
	}

	function toggle(row, site) {
		const button = row.querySelector("button"), isOpen = button.getAttribute("aria-expanded") === "true";
		button.setAttribute("aria-expanded", String(!isOpen));
		if (isOpen) {
			opened.delete(site);
			row.nextElementSibling.remove();
			return;
		}
		opened.add(site);
		row.after(detailsOf(site));
		drawChart(row.nextElementSibling, site);
	}

	function badge(site) {
		const isSure = site.verdict !== "unknown";
		return element("span", { "class": "badge " + site.verdict }, site.verdict,
			isSure ? element("small", {}, " " + Math.round(100 * site.confidence) + " %") : "");
	}

	function rowOf(site) {
		const button = element("button", { type: "button", "class": "open", "aria-expanded": "false",
			"aria-controls": "details-" + site.id }, element("code", { "class": "name" }, site.name));
		const where = element("td", { "class": "where" }, button);
		const bar = element("span", { "class": "bar " + site.verdict });
		if (site.owner)
			where.append(placeOf(site.owner));
		if (site.owner !== site.front)
			where.append(element("span", { "class": "place soft" }, "through " + site.front.name));
		if (memleak.isManyProcesses)
			where.append(element("span", { "class": "place soft" }, (site.comm || "?") + " (" + site.pid + ")"));
		bar.style.width = (100 * site.bytes / most).toFixed(1) + "%";
		const row = element("tr", { "class": "site", "data-id": site.id }, element("td", {}, badge(site)),
			element("td", { "class": "number bytes", title: memleak.number(site.bytes) + " bytes" }, memleak.bytes(site.bytes), bar),
			element("td", { "class": "number wide" }, memleak.number(site.count)),
			element("td", { "class": "number" }, Math.abs(site.growth) >= 1 ? memleak.bytes(site.growth) + "/s" : "\u2013"),
			element("td", { "class": "number wide" }, site.oldest >= 0 ? memleak.duration(site.oldest) : "\u2013"),
			element("td", { "class": "wide" }, memleak.sparkline(site.points)), where);
		row.addEventListener("click", function (event) {
			if (!String(window.getSelection()))
				toggle(row, site);
			event.stopPropagation();
		});
		return row;
	}

	const search = element("input", { type: "search", placeholder: "Filter: function, file, module", "aria-label": "Filter sites" });
	const chips = element("div", { "class": "chips", role: "group", "aria-label": "Show sites of one verdict" });
	const body = element("tbody", {}), head = element("tr", {});
	const status = element("span", { "class": "soft", role: "status" });
	const previous = element("button", { type: "button" }, "\u2039 Previous");
	const next = element("button", { type: "button" }, "Next \u203a");
	const pager = element("nav", { "class": "pager", "aria-label": "Pages of the table" }, previous, next);

	function drawRows() {
		const pages = Math.max(Math.ceil(shown.length / perPage), 1);
		page = Math.min(page, pages - 1);
		const part = shown.slice(page * perPage, (page + 1) * perPage);
		body.replaceChildren.apply(body, part.map(rowOf));
		part.forEach(function (site, i) {
			const row = body.querySelectorAll("tr.site")[i];
			if (opened.has(site)) {
				opened.delete(site);
				toggle(row, site);
			}
		});
		previous.disabled = page === 0;
		next.disabled = page === pages - 1;
		pager.hidden = pages === 1;
		const bytes = shown.reduce(function (sum, site) { return sum + site.bytes; }, 0);
		status.textContent = (shown.length === all.length ? memleak.count(all.length, "site") :
			memleak.number(shown.length) + " of " + memleak.count(all.length, "site")) + ", " + memleak.bytes(bytes) +
			(pages > 1 ? "; " + memleak.number(page * perPage + 1) + " to " + memleak.number(page * perPage + part.length) : "");
	}

	function update() {
		shown = matching().sort(function (a, b) {
			const order = sortedBy.order(a, b);
			return (isUp ? order : -order) || a.rank - b.rank;
		});
		drawRows();
		columns.forEach(function (column) {
			if (column.header)
				column.header.setAttribute("aria-sort", column !== sortedBy ? "none" : isUp ? "ascending" : "descending");
		});
		chips.querySelectorAll("button").forEach(function (chip) {
			chip.setAttribute("aria-pressed", String(chip.value === verdict));
		});
	}

	function turn(by) {
		page += by;
		drawRows();
		parent.scrollIntoView({ block: "start" });
	}

	function addColumn(column) {
		const header = element("th", { scope: "col", "class": /count|oldest|trend/.test(column.key) ? "wide" : "" });
		if (!column.order) {
			header.append(column.name);
			head.append(header);
			return;
		}
		const button = element("button", { type: "button" }, column.name);
		button.addEventListener("click", function () {
			isUp = sortedBy === column ? !isUp : column.isFirstUp === true;
			sortedBy = column;
			page = 0;
			update();
		});
		column.header = header;
		header.append(button);
		head.append(header);
	}

	function addChip(name, count) {
		const chip = element("button", { type: "button", value: name, "class": "chip " + name },
			name ? element("i", { "class": "swatch " + name }) : "", (name || "all") + " ", element("small", {}, memleak.number(count)));
		chip.addEventListener("click", function () {
			verdict = name === verdict ? "" : name;
			page = 0;
			update();
		});
		chips.append(chip);
	}

	function filter(text) {
		term = text.trim();
		page = 0;
		update();
	}

	/* Shows the site called id wherever it is, opened. */
	function open(id) {
		const site = all.find(function (candidate) { return candidate.id === id; });
		if (!site)
			return;
		search.value = "";
		verdict = "";
		opened.add(site);
		filter("");
		page = Math.floor(shown.indexOf(site) / perPage);
		drawRows();
		const row = body.querySelector("tr[data-id=\"" + site.id + "\"]");
		row.scrollIntoView({ block: "center" });
		row.querySelector("button").focus();
	}

	columns.forEach(addColumn);
	addChip("", all.length);
	["leak", "growing", "cache", "steady", "startup", "unknown"].forEach(function (name) {
		const count = all.filter(function (site) { return site.verdict === name; }).length;
		if (count)
			addChip(name, count);
	});
	let timer = 0;
	search.addEventListener("input", function () {
		clearTimeout(timer);
		timer = setTimeout(function () { filter(search.value); }, all.length > 2000 ? 120 : 0);
	});
	previous.addEventListener("click", function () { turn(-1); });
	next.addEventListener("click", function () { turn(1); });
	body.addEventListener("keydown", function (event) {
		const rows = Array.from(body.querySelectorAll("tr.site"));
		const at = rows.indexOf(document.activeElement.closest("tr.site"));
		const to = rows[at + (event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : rows.length)];
		if (at < 0 || !to)
			return;
		event.preventDefault();
		to.querySelector("button").focus();
	});
	parent.append(element("div", { "class": "tools" }, search, chips, status), element("div", { "class": "scroller" },
		element("table", { "class": "sites" }, element("thead", {}, head), body)), pager);
	if (all.length)
		opened.add(all.slice().sort(columns[0].order)[0]);
	update();
	return { filter: function (text) { search.value = text; filter(text); }, open: open, search: search };
};
