/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of a batch, see stats.h.  Every device process; D2 to D5. */
#include "devproc/stats.h"

uint64_t stats_batch_ns;
