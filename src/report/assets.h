/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * The files of src/report/assets as texts, made by assets/embed.py: ASCII, without "]]>" and
 * without what would end a script element.
 */
#ifndef ML_REPORT_ASSETS_H
#define ML_REPORT_ASSETS_H

/** A script with its hash for a Content-Security-Policy: "sha256-…". */
struct ml_asset_script {
	const char *text, *hash;
};

extern const char ml_asset_flamegraph_css[], ml_asset_page_css[];
extern const struct ml_asset_script ml_asset_flamegraph_js, ml_asset_data_js, ml_asset_chart_js,
	ml_asset_sites_js, ml_asset_page_js;

#endif
