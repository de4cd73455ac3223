/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the steps of config_load(): config_read.c yields sections and
 * entries with their origin, config.c puts them into the struct by the key
 * table of config_keys.c, whose parsers live in config_value.c.
 */
#ifndef CLI_CONFIG_PRIV_H
#define CLI_CONFIG_PRIV_H

#include "cli/config.h"

#define CONFIG_MAX_SECTIONS	64
#define CONFIG_MAX_ENTRIES	512

struct config_section {
	char *title;		/* "vm", "blk vda" */
	char *origin;
};

struct config_entry {
	char *section;
	char *key;
	char *value;
	char *origin;		/* "debian.conf:12", "--set vm.kernel" */
	bool from_set;
};

struct config_source {
	const char *file;
	struct config_section section[CONFIG_MAX_SECTIONS];
	unsigned int nr_sections;
	struct config_entry entry[CONFIG_MAX_ENTRIES];
	unsigned int nr_entries;
	char *err;		/* CONFIG_ERROR_MAX bytes; first error only */
};

/* Write the first error of a run; later ones are dropped.  Return: -EINVAL. */
int config_error(char *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* INI file -> sections and entries, in the file's order.  0 or -errno. */
int config_read(struct config_source *src);

/* "blk vda.path=x" -> an entry that replaces the file's.  0 or -errno. */
int config_read_set(struct config_source *src, const char *assignment);

void config_source_free(struct config_source *src);

/* Which struct a key belongs to. */
enum config_kind {
	CONFIG_KIND_VM,
	CONFIG_KIND_CORE,
	CONFIG_KIND_SERIAL,
	CONFIG_KIND_CONSOLE,
	CONFIG_KIND_RNG,
	CONFIG_KIND_BLK,
	CONFIG_KIND_FAULT,
	CONFIG_NR_KINDS,
};

struct config_value_context {
	const char *value;
	const char *origin;
	const char *dir;	/* where a relative path starts, absolute */
};

struct config_key {
	enum config_kind kind;
	const char *name;
	/*
	 * Put the value at dest.  Return: NULL, or what is wrong with it,
	 * worded to follow "KEY = VALUE: ".
	 */
	const char *(*parse)(const struct config_value_context *in, void *dest);
	size_t offset;		/* of dest in struct config or config_device */
};

const struct config_key *config_key_find(enum config_kind kind,
					 const char *name);
/* "memory, cpus, ..." for error lines; len bytes. */
void config_key_list(enum config_kind kind, char *buf, size_t len);
const char *config_kind_name(enum config_kind kind);

const char *config_parse_size(const struct config_value_context *in, void *dest);
const char *config_parse_max_size(const struct config_value_context *in,
				  void *dest);
const char *config_parse_ms(const struct config_value_context *in, void *dest);
/* uint32_t, microseconds */
const char *config_parse_poll(const struct config_value_context *in,
			      void *dest);
const char *config_parse_heartbeat(const struct config_value_context *in,
				   void *dest);
const char *config_parse_cpus(const struct config_value_context *in, void *dest);
const char *config_parse_bool(const struct config_value_context *in, void *dest);
const char *config_parse_path(const struct config_value_context *in, void *dest);
const char *config_parse_text(const struct config_value_context *in, void *dest);
const char *config_parse_name(const struct config_value_context *in, void *dest);
const char *config_parse_serial(const struct config_value_context *in,
				void *dest);
const char *config_parse_connect(const struct config_value_context *in,
				 void *dest);
const char *config_parse_on_reboot(const struct config_value_context *in,
				   void *dest);
const char *config_parse_on_panic(const struct config_value_context *in,
				  void *dest);
const char *config_parse_on_crash(const struct config_value_context *in,
				  void *dest);
const char *config_parse_restarts(const struct config_value_context *in,
				  void *dest);
const char *config_parse_cache(const struct config_value_context *in,
			       void *dest);
const char *config_parse_on_error(const struct config_value_context *in,
				  void *dest);
/* dest: of reads, then of writes. */
const char *config_parse_on_errors(const struct config_value_context *in,
				   void *dest);
const char *config_parse_throttle(const struct config_value_context *in,
				  void *dest);
const char *config_parse_group(const struct config_value_context *in,
			       void *dest);

/* config_limits.c */
const char *config_parse_weight(const struct config_value_context *in,
				void *dest);
const char *config_parse_cpu_max(const struct config_value_context *in,
				 void *dest);
const char *config_parse_memory_max(const struct config_value_context *in,
				    void *dest);
const char *config_parse_io_max(const struct config_value_context *in,
				void *dest);
const char *config_parse_cgroup(const struct config_value_context *in,
				void *dest);

/* config_backing.c */
const char *config_parse_format(const struct config_value_context *in,
				void *dest);
const char *config_parse_chain(const struct config_value_context *in,
			       void *dest);
void config_free_chain(struct config_chain *chain);

/*
 * config_fault.c: one entry of [fault], once all devices are known.
 * Return: 0, or -EINVAL with the error written.
 */
int config_take_fault(const struct config_source *src,
		      const struct config_entry *entry, struct config *cfg);

/*
 * config_processes.c: for each disk of several processes a device more for all
 * but the first, "vda.1", once all else is known.  They share the texts of the
 * disk.  Return: 0, or -EINVAL with the error written.
 */
int config_add_processes(struct config *cfg, char *err);

/* A VM or device name that is safe in paths, ps and logs. */
bool config_name_ok(const char *name, size_t max_bytes);

#endif
