/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder where running VMs are found: NAME.lock (flock'ed while the VM
 * lives) and NAME.sock (its control socket).
 *
 * BULKHEAD_RUNTIME_DIR, else /run/bulkhead for root, else
 * $XDG_RUNTIME_DIR/bulkhead, else /tmp/bulkhead-UID.
 */
#ifndef CLI_RUNTIME_DIR_H
#define CLI_RUNTIME_DIR_H

#include <stddef.h>
#include <sys/types.h>

#define RUNTIME_PATH_MAX	108	/* struct sockaddr_un, sun_path */

/* Path of the folder itself.  Return: 0, or -ENAMETOOLONG. */
int runtime_dir_path(char path[RUNTIME_PATH_MAX]);

/* Path of NAME.suffix in it.  Return: 0, or -ENAMETOOLONG. */
int runtime_file_path(const char *name, const char *suffix,
		      char path[RUNTIME_PATH_MAX]);

/*
 * Make the folder if need be, check that it is the caller's alone, and take
 * NAME's lock.  Files of a VM that died are taken over.
 * Return: the lock's fd (owned), or -errno with one line in why: -EBUSY, a VM
 * of that name runs.
 */
int runtime_claim(const char *name, char *why, size_t why_bytes);

/* Remove NAME's files and let the lock go. */
void runtime_release(const char *name, int lock_fd);

#endif
