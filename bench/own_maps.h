/* SPDX-License-Identifier: BSD-2-Clause */
/** Rows for all that is mapped in a benchmark's own process, as the tracer makes them. */
#ifndef ML_BENCH_OWN_MAPS_H
#define ML_BENCH_OWN_MAPS_H

#include "elf/module.h"
#include "shared/unwind_rows.h"
#include "target/maps.h"
#include "trace/unwind_tables.h"
#include "unwind/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** Fills @p known, making rows in @p tables; ends the program when a file cannot be read. */
static void describe_own_maps(struct ml_unwind_tables *tables, struct ml_process_maps *known)
{
	struct ml_maps maps = {0};

	if (ml_maps_read(getpid(), &maps)) {
		fputs("the maps cannot be read\n", stderr);
		exit(1);
	}
	ml_array_each (mapping, &maps.list) {
		struct ml_module *module;
		uint64_t address;

		if (!mapping->is_executable || *mapping->path != '/' ||
		    known->count == ML_PROCESS_MAPS)
			continue;
		if (ml_module_open(open(mapping->path, O_RDONLY | O_CLOEXEC), mapping->path,
				   &module) ||
		    !ml_text_address_of_mapping(module, mapping->offset, &address)) {
			fprintf(stderr, "%s cannot be read\n", mapping->path);
			exit(1);
		}

		struct ml_process_map *map = &known->map[known->count++];

		map->start = mapping->start;
		map->end = mapping->end;
		ml_unwind_tables_describe(tables, module, mapping->start - address, map);
		ml_module_unref(module);
	}
	ml_maps_deinit(&maps);
}

#endif
