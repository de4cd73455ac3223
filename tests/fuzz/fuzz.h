/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share.  A target is one file with one
 * LLVMFuzzerTestOneInput(), linked with the code that ships: with libFuzzer
 * (`make fuzz`), and with replay.c, which does the kept inputs and a fixed
 * number of changes to them (`make check`).
 *
 * A target leaves no state behind: an input does the same whatever came
 * before it.  What must hold is said with fuzz_check(), which aborts.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input, taken piece by piece; behind its end all is zero. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* A little-endian number of bytes (1..8). */
uint64_t fuzz_take(struct fuzz_input *in, unsigned int bytes);
void fuzz_take_bytes(struct fuzz_input *in, void *buf, size_t len);

/* A memfd of bytes, with the first len of them filled from data. */
int fuzz_memfd(const void *data, size_t len, uint64_t bytes);

/*
 * Occupy the fd numbers that a process wakes up with (ipc/inherit.h), before
 * libFuzzer opens files of its own.
 */
void fuzz_reserve_fds(void);

#define fuzz_check(condition) \
	((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

#endif
