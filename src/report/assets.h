/* SPDX-License-Identifier: BSD-2-Clause */
/** The files of src/report/assets as texts; made by assets/embed.py. ASCII, without "]]>". */
#ifndef ML_REPORT_ASSETS_H
#define ML_REPORT_ASSETS_H

extern const char ml_asset_flamegraph_css[];
extern const char ml_asset_flamegraph_js[];

#endif
