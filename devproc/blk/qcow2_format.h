/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 for main.c: see qcow2_format.c. */
#ifndef DEVPROC_BLK_QCOW2_FORMAT_H
#define DEVPROC_BLK_QCOW2_FORMAT_H

#include "devproc/blk/format.h"
#include "ipc/life.h"

/*
 * Before confinement, image and backing files at their fds: what takes system
 * calls that the policy does not have.  Looks into none of them.
 * Return: 0, or -errno.
 */
int qcow2_prepare(const struct life_birth_blk *birth);

extern const struct blk_format format_qcow2;

#endif
