/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM counts, in three forms: for people (stats_text.c), as JSON
 * (stats_json.c) and as OpenMetrics text (stats_metrics.c).  bulkhead(1),
 * STATISTICS, says what each number is.
 */
#ifndef CLI_STATS_FORMAT_H
#define CLI_STATS_FORMAT_H

#include <stdio.h>

#include "cli/stats_vm.h"

/* "read", "write", "other"; "io", "mmio", "signal", "other". */
const char *stats_kind_name(enum stats_kind kind);
const char *stats_exit_name(enum stats_exit reason);

void stats_print_text(struct stats_vm *vm, FILE *to);

/* A new object; NULL without memory. */
json_t *stats_to_json(struct stats_vm *vm);

void stats_print_metrics(struct stats_vm *vm, FILE *to);

#endif
