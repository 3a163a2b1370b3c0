// SPDX-License-Identifier: BSD-2-Clause
// node check.mjs REPORT.html: uses a report of at least two sites as people do and measures it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Page } from "./browser.mjs";

const report = process.argv[2];
const page = await Page.open();

function say(what, value, unit) {
	console.log(what.padEnd(44) + String(value).padStart(10) + " " + unit);
}

/** The longest and the median time between frames while the page scrolls from top to end. */
const scroll = `new Promise((done) => {
	const times = [];
	let last = performance.now();
	function step(now) {
		times.push(now - last);
		last = now;
		scrollBy(0, 120);
		if (scrollY + innerHeight < document.documentElement.scrollHeight - 2 && times.length < 2000)
			return requestAnimationFrame(step);
		times.shift();
		times.sort((a, b) => a - b);
		done([times[times.length >> 1], times[times.length - 1]]);
	}
	requestAnimationFrame(step);
})`;

/** Milliseconds that an action and the drawing after it take. */
function timed(action) {
	return page.run(`new Promise((done) => { const start = performance.now(); ${action};
		requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); })`);
}

function count(selector) {
	return page.run(`document.querySelectorAll(${JSON.stringify(selector)}).length`);
}

function text(selector) {
	return page.run(`document.querySelector(${JSON.stringify(selector)}).textContent`);
}

const isShown = (selector) => page.run(`document.querySelector(${JSON.stringify(selector)}).getClientRects().length > 0`);
const focusIn = (selector) => page.run(`document.activeElement.closest(${JSON.stringify(selector)}) !== null`);
const field = (selector, value) => `{ const field = document.querySelector(${JSON.stringify(selector)});
	field.value = ${JSON.stringify(value)}; field.dispatchEvent(new Event("input", { bubbles: true })); }`;

const isTooWide = (width) => page.run(`document.documentElement.scrollWidth > ${width}`);

async function checkTable() {
	assert.ok(!await isTooWide(1280), "nothing is wider than the window");
	const sites = await page.run("memleak.sites.length");
	assert.equal(await count("tr.site"), Math.min(sites, 50));
	assert.equal(await count("tr.details"), 1, "the first site is open");
	say("sites", sites, "");
	say("sorting by blocks", (await timed("document.querySelectorAll('.sites th button')[2].click()")).toFixed(0), "ms");
	assert.equal(await page.run("document.querySelectorAll('.sites th')[2].getAttribute('aria-sort')"), "descending");
	const name = await text("tr.site .open .name");
	say("filtering", (await timed(field(".tools input", name))).toFixed(0), "ms");
	await page.run("new Promise((done) => setTimeout(done, 400))");
	assert.ok((await text(".tools [role=status]")).includes(" of ") || sites === (await count("tr.site")));
	await page.run(field(".tools input", "no such function anywhere"));
	await page.run("new Promise((done) => setTimeout(done, 400))");
	assert.equal(await count("tr.site"), 0);
	await page.run(field(".tools input", ""));
	await page.run("new Promise((done) => setTimeout(done, 400))");
	say("opening a site", (await timed("document.querySelector('tr.site:not(:has(+ .details)) .open').click()")).toFixed(0), "ms");
	if (sites > 50) {
		say("next page", (await timed("document.querySelectorAll('.pager button')[1].click()")).toFixed(0), "ms");
		assert.match(await text(".tools [role=status]"), /51 to /);
	}
}

async function checkKeyboard() {
	await page.run("document.activeElement.blur()");
	await page.key("/", 191, "/");
	assert.ok(await focusIn(".tools"), "/ goes to the filter");
	await page.run("document.querySelector('tr.site .open').focus()");
	await page.key("ArrowDown", 40);
	assert.ok(await page.run("document.activeElement.closest('tr.site') === document.querySelectorAll('tr.site')[1]"));
	const before = await count("tr.details");
	await page.key("Enter", 13, "\r");
	assert.notEqual(await count("tr.details"), before, "Enter opens or closes a site");
	await page.run("document.querySelector('.chart').focus()");
	await page.key("ArrowLeft", 37);
	assert.ok(await isShown(".tip"), "an arrow key tells the values of a chart");
	await page.run("document.querySelector('.flames .f[tabindex=\"0\"]').focus()");
	await page.key("ArrowDown", 40);
	await page.key("Enter", 13, "\r");
	assert.ok(await isShown(".flame-controls button:not([hidden])"), "Enter zooms into a frame");
	await page.key("Escape", 27);
	assert.equal(await count(".flame-controls button:not([hidden])"), 0, "Escape goes back");
}

async function checkFlames() {
	say("frames drawn", await count(".flames .f"), "");
	say("zooming", (await timed("document.querySelectorAll('.flames .f')[1].dispatchEvent(new MouseEvent('click', { bubbles: true }))")).toFixed(0), "ms");
	await page.run("document.querySelectorAll('.flames .f')[0].dispatchEvent(new MouseEvent('click', { bubbles: true }))");
	const name = await text(".flames .f:nth-child(2) title");
	say("searching", (await timed(field(".flame-controls input", name.split(" ")[0]))).toFixed(0), "ms");
	assert.ok(await count(".flames .hit") > 0);
	assert.match(await text(".flame-status"), /match/);
	await page.run(field(".flame-controls input", ""));
	await page.run(`{ const color = document.querySelector(".flame-controls select");
		color.value = "growth"; color.dispatchEvent(new Event("change")); }`);
	assert.ok(await count(".flames.growth") === 1);
}

async function checkTheme() {
	const paper = () => page.run("getComputedStyle(document.body).backgroundColor");
	const light = await paper();
	await page.run("document.getElementById('theme').click()");
	assert.notEqual(await paper(), light);
	await page.run("document.getElementById('theme').click()");
	assert.equal(await paper(), light);
}

/** What names made to do harm would do: run, load, or add elements that the report has not. */
async function checkHarmless() {
	assert.deepEqual(page.problems, []);
	assert.deepEqual(page.requests.filter((url) => !url.startsWith("file://" )), []);
	assert.equal(await count("img, iframe, object, embed, link, base, form"), 0);
	const refused = await page.run("(() => { const made = document.createElement('script'); made.textContent = 'window.ran = 1'; " +
		"document.body.append(made); return window.ran === undefined; })()");
	assert.ok(refused, "the policy lets no other script run");
}

try {
	await page.show(1280, 900);
	say("size", (readFileSync(report).length / 1e6).toFixed(2), "MB");
	say("loaded and drawn after", (await page.load(report)).toFixed(0), "ms");
	const { metrics } = await page.send("Performance.getMetrics");
	say("script heap", (metrics.find((metric) => metric.name === "JSHeapUsedSize").value / 1e6).toFixed(1), "MB");
	const [median, longest] = await page.run(scroll);
	say("scrolling: median time of a frame", median.toFixed(1), "ms");
	say("scrolling: longest time of a frame", longest.toFixed(1), "ms");
	await checkTable();
	await checkKeyboard();
	await checkFlames();
	await checkTheme();
	await page.show(390, 844);
	await page.load(report);
	assert.ok(!await isTooWide(390), "nothing is wider than a telephone");
	await checkHarmless();
	console.log("all as it should be");
} finally {
	await page.close();
}
