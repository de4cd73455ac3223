/* SPDX-License-Identifier: Apache-2.0 */
/* Images are read without a trace in their inodes.  Who opens one. */
#ifndef IPC_NO_ATIME_H
#define IPC_NO_ATIME_H

/*
 * Reads through fd do not touch the file's time of access: a guest that only
 * reads writes nothing on the host, and each read has less to do.  Where this
 * is refused, they do, as that is all that is lost: open(2) allows O_NOATIME
 * to the owner of the file, and to who has CAP_FOWNER.
 */
void no_atime(int fd);

#endif
