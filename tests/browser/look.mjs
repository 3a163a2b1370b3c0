// SPDX-License-Identifier: BSD-2-Clause
// node look.mjs REPORT.html FOLDER: pictures of a report to look at, in every form it is read in.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Page } from "./browser.mjs";

const [report, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const page = await Page.open();
try {
	for (const theme of ["light", "dark"]) {
		await page.show(1280, 900, theme);
		await page.load(report);
		await page.picture(join(folder, theme + ".png"));
		await page.picture(join(folder, theme + "-flames.png"), "#flames");
	}
	await page.show(390, 844);
	await page.load(report);
	await page.picture(join(folder, "narrow.png"));
	await page.show(1280, 900);
	await page.load(report);
	await page.pdf(join(folder, "print.pdf"));
	console.log(page.problems.length ? page.problems.join("\n") : "no complaints");
} finally {
	await page.close();
}
