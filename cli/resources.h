/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of the host that a VM needs, opened before anything is born (C1):
 * each failure is one line that names the configuration's line, and leaves
 * nothing behind but fds that resources_close() closes.
 *
 * All functions: 0, or -errno with the line in why.
 */
#ifndef CLI_RESOURCES_H
#define CLI_RESOURCES_H

#include "cli/supervisor.h"

/* Mark everything closed. */
void resources_init(struct vm *vm);

/* KVM, memory, kernel, initrd, programs, then every device's end. */
int resources_open(struct vm *vm, char why[VM_WHY_MAX]);

/* One life of the guest: fresh RAM, fresh in-flight regions. */
int resources_make_memory(struct vm *vm, char why[VM_WHY_MAX]);
void resources_drop_memory(struct vm *vm);

/* Close all of it; remove sockets that were made. */
void resources_close(struct vm *vm);

/* image.c: [blk] path, opened and locked. */
int image_open(const struct config_device *cfg, struct host_end *end,
	       char why[VM_WHY_MAX]);

/* What is behind it, number n: only read, and locked against writers. */
int image_open_backing(const struct config_device *cfg, unsigned int n,
		       struct host_end *end, char why[VM_WHY_MAX]);

/* record_file.c: [blk] record, after image_open(); the fd is end->out_fd. */
int record_file_open(const struct config_device *cfg, struct host_end *end,
		     char why[VM_WHY_MAX]);

/* chardev_end.c: [serial] and [console] connect. */
int chardev_end_open(struct vm *vm, const struct config_device *cfg,
		     struct host_end *end, char why[VM_WHY_MAX]);
void chardev_end_close(struct vm *vm, const struct config_device *cfg,
		       struct host_end *end);
/* Take peers of connect = socket: from now on. */
int chardev_end_listen(struct vm *vm, struct device *dev);
/* A new process: give it the peer that is there. */
void chardev_end_attach(struct device *dev);

/* memory.c: sealed memfds.  Return: fd (owned) or -errno. */
int memory_make_ram(const struct config *cfg);
int memory_make_page(const char *name, uint64_t bytes);
/* One that only *map can write to, now and for ever. */
int memory_make_shown(const char *name, uint64_t bytes, void **map);
int memory_check_host(const struct config *cfg, char why[VM_WHY_MAX]);

/* programs.c: bulkhead-core and its like, beside us or in libexec. */
int program_open(enum life_role role, char why[VM_WHY_MAX]);

/*
 * link.c: a new link for a device; core_fd, device_fd (-1: foreign) owned.
 * wait_ms: for a foreign back-end that is busy.
 */
int link_make(const struct device *dev, int wait_ms, int *core_fd,
	      int *device_fd, char why[VM_WHY_MAX]);

/* terminal.c */
void terminal_init(struct terminal *terminal);
int terminal_open(struct terminal *terminal, struct host_end *end,
		  char why[VM_WHY_MAX]);
void terminal_set_raw(struct terminal *terminal);
void terminal_restore(struct terminal *terminal);

#endif
