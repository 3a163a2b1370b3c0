// SPDX-License-Identifier: BSD-2-Clause
// Chromium without a window, driven by its DevTools protocol over a pipe: no package but chromium.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** A page of a Chromium of our own. `problems` are what it wrote to its console, and refused loads. */
export class Page {
	static async open() {
		const page = new Page();
		page.folder = mkdtempSync(join(tmpdir(), "memleak-browser-"));
		page.process = spawn("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
			"--no-first-run", "--user-data-dir=" + page.folder, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
		page.pending = new Map();
		page.waiting = [];
		page.problems = [];
		page.requests = [];
		page.nextId = 1;
		let text = "";
		page.process.stdio[4].on("data", (data) => {
			const parts = (text + data).split("\0");
			text = parts.pop();
			parts.forEach((part) => page.receive(JSON.parse(part)));
		});
		const { targetInfos } = await page.send("Target.getTargets");
		const target = targetInfos.find((info) => info.type === "page");
		page.session = (await page.send("Target.attachToTarget", { targetId: target.targetId, flatten: true })).sessionId;
		for (const domain of ["Page", "Runtime", "Log", "Network", "Performance"])
			await page.send(domain + ".enable");
		return page;
	}

	receive(message) {
		if (message.id) {
			const { done, fail } = this.pending.get(message.id);
			this.pending.delete(message.id);
			message.error ? fail(new Error(message.error.message)) : done(message.result);
			return;
		}
		if (message.method === "Log.entryAdded")
			this.problems.push(message.params.entry.text);
		if (message.method === "Runtime.exceptionThrown")
			this.problems.push(message.params.exceptionDetails.exception.description);
		if (message.method === "Network.requestWillBeSent")
			this.requests.push(message.params.request.url);
		this.waiting = this.waiting.filter((wait) => wait.method !== message.method || wait.done(message.params));
	}

	send(method, params) {
		const id = this.nextId++;
		this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId: this.session }) + "\0");
		return new Promise((done, fail) => this.pending.set(id, { done, fail }));
	}

	event(method) {
		return new Promise((done) => this.waiting.push({ method, done: (params) => { done(params); return false; } }));
	}

	/** Size of the window in pixels, and light or dark. */
	async show(width, height, theme = "light") {
		await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
		await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }] });
	}

	/** Loads a file; gives the milliseconds until it was loaded and drawn. */
	async load(file) {
		const loaded = this.event("Page.loadEventFired");
		await this.send("Page.navigate", { url: "file://" + resolve(file) });
		await loaded;
		return this.run("new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))");
	}

	/** What JavaScript in the page gives, a promise's value when it is one. */
	async run(expression) {
		const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
		if (exceptionDetails)
			throw new Error(exceptionDetails.exception.description);
		return result.value;
	}

	async key(key, code, text) {
		await this.send("Input.dispatchKeyEvent", { type: "keyDown", key, code: key, windowsVirtualKeyCode: code, text });
		await this.send("Input.dispatchKeyEvent", { type: "keyUp", key, code: key, windowsVirtualKeyCode: code });
	}

	async type(text) {
		await this.send("Input.insertText", { text });
	}

	/** A picture of what a selector means, or of the whole page. */
	async picture(file, selector = "body") {
		const clip = await this.run(`(() => { const box = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect();
			return { x: 0, y: Math.max(box.top + scrollY - 10, 0), width: innerWidth, height: box.height + 20, scale: 1 }; })()`);
		const { data } = await this.send("Page.captureScreenshot", { clip, captureBeyondViewport: true });
		writeFileSync(file, Buffer.from(data, "base64"));
	}

	async pdf(file) {
		const { data } = await this.send("Page.printToPDF", { printBackground: false, paperWidth: 8.27, paperHeight: 11.69 });
		writeFileSync(file, Buffer.from(data, "base64"));
	}

	async close() {
		const ended = new Promise((done) => this.process.on("exit", done));
		this.session = undefined;
		await this.send("Browser.close");
		await ended;
		rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
	}
}
