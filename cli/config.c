/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections and entries to struct config: which sections there may be, what
 * each must have, what is assumed when nothing is said (C1).
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config_priv.h"
#include "cli/throttle_parse.h"

#define DEFAULT_MEMORY_BYTES	(512ull << 20)
#define DEFAULT_STOP_MS		30000
#define DEFAULT_RESTARTS	10
#define DEFAULT_HEARTBEAT_MS	3000
#define DEFAULT_MAX_SIZE	(1ull << 30)	/* of what a guest prints to a file */
#define DEFAULT_MAX_QUEUES	4	/* more rarely pay, and cost memory */

static enum life_role role_of(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_KIND_SERIAL:
		return LIFE_ROLE_SERIAL;
	case CONFIG_KIND_CONSOLE:
		return LIFE_ROLE_CONSOLE;
	case CONFIG_KIND_RNG:
		return LIFE_ROLE_RNG;
	default:
		return LIFE_ROLE_BLK;
	}
}

/* "blk vda" -> CONFIG_KIND_BLK, "vda"; "rng" -> CONFIG_KIND_RNG, "rng". */
static int split_title(const char *title, enum config_kind *kind,
		       const char **name)
{
	for (int i = 0; i < CONFIG_NR_KINDS; i++) {
		const char *word = config_kind_name(i);
		size_t len = strlen(word);

		if (strncmp(title, word, len))
			continue;
		if (i == CONFIG_KIND_BLK && title[len] == ' ') {
			*kind = i;
			*name = title + len + strspn(title + len, " ");
			return 0;
		}
		if (i != CONFIG_KIND_BLK && !title[len]) {
			*kind = i;
			*name = title;
			return 0;
		}
	}
	return -ENOENT;
}

/* A disk may not be called like another process of the VM. */
static bool name_reserved(const char *name)
{
	static const char *const taken[] = { "core", "serial", "console", "rng",
					     "supervisor", "seed" };

	for (unsigned int i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (!strcmp(name, taken[i]))
			return true;
	return false;
}

static int add_device(struct config *cfg, const struct config_section *s,
		      enum config_kind kind, const char *name, char *err)
{
	struct config_device *dev = &cfg->device[cfg->nr_devices];

	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		if (!strcmp(cfg->device[i].name, name))
			return config_error(err,
					    "%s: device '%s' is given twice; first at %s",
					    s->origin, name,
					    cfg->device[i].origin);
	if (cfg->nr_devices == LIFE_MAX_DEVICES)
		return config_error(err, "%s: more than %d devices", s->origin,
				    LIFE_MAX_DEVICES);
	if (kind == CONFIG_KIND_BLK &&
	    (!config_name_ok(name, LIFE_DEVICE_NAME_MAX) ||
	     name_reserved(name)))
		return config_error(err,
				    "%s: [%s]: a disk's name has 1 to 15 letters, digits, '.', '_' or '-', and is none of core, serial, console, rng, seed, supervisor",
				    s->origin, s->title);
	dev->role = role_of(kind);
	dev->on_crash = CONFIG_CRASH_INHERIT;
	dev->nr_processes = 1;
	dev->of = cfg->nr_devices;
	dev->poll_us = LIFE_BLK_POLL_US;
	dev->sched_batch = true;
	throttle_none(&dev->throttle);
	strcpy(dev->name, name);
	dev->origin = strdup(s->origin);
	cfg->nr_devices++;
	return dev->origin ? 0 : -ENOMEM;
}

static int take_sections(const struct config_source *src, struct config *cfg)
{
	for (unsigned int i = 0; i < src->nr_sections; i++) {
		const struct config_section *s = &src->section[i];
		enum config_kind kind;
		const char *name;
		int ret;

		if (split_title(s->title, &kind, &name))
			return config_error(src->err,
					    "%s: unknown section [%s]; there are [vm], [core], [serial], [console], [rng], [blk NAME] and [fault]",
					    s->origin, s->title);
		if (kind == CONFIG_KIND_VM || kind == CONFIG_KIND_CORE ||
		    kind == CONFIG_KIND_FAULT)
			continue;
		ret = add_device(cfg, s, kind, name, src->err);
		if (ret)
			return ret;
	}
	return 0;
}

static struct config_device *find_device(struct config *cfg, const char *name)
{
	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		if (!strcmp(cfg->device[i].name, name))
			return &cfg->device[i];
	return NULL;
}

static bool is_fault(const struct config_entry *e)
{
	return !strcmp(e->section, config_kind_name(CONFIG_KIND_FAULT));
}

static int take_entry(const struct config_source *src,
		      const struct config_entry *e, struct config *cfg,
		      const char *cwd)
{
	struct config_value_context in = {
		.value = e->value,
		.origin = e->origin,
		.dir = e->from_set ? cwd : cfg->dir,
	};
	const struct config_key *key;
	const char *name, *why;
	enum config_kind kind;
	char known[384];
	char *base;

	if (split_title(e->section, &kind, &name))
		return config_error(src->err, "%s: unknown section [%s]",
				    e->origin, e->section);
	key = config_key_find(kind, e->key);
	if (!key) {
		config_key_list(kind, known, sizeof(known));
		return config_error(src->err,
				    "%s: unknown key '%s' in [%s]; known keys: %s",
				    e->origin, e->key, e->section, known);
	}
	base = kind == CONFIG_KIND_VM || kind == CONFIG_KIND_CORE ?
		       (char *)cfg : (char *)find_device(cfg, name);
	if (!base)
		return config_error(src->err, "%s: no section [%s]", e->origin,
				    e->section);
	why = key->parse(&in, base + key->offset);
	if (why)
		return config_error(src->err, "%s: %s = %s: %s", e->origin,
				    e->key, e->value, why);
	if (kind == CONFIG_KIND_VM && !strcmp(e->key, "memory")) {
		cfg->memory_origin = strdup(e->origin);
		return cfg->memory_origin ? 0 : -ENOMEM;
	}
	return 0;
}

static bool is_throttled(const struct config_device *dev)
{
	struct throttle_settings none;

	throttle_none(&none);
	return memcmp(&dev->throttle, &none, sizeof(none)) != 0;
}

/* The members of a group have one throttle: whoever says it says it for all. */
static int join_group(struct config *cfg, struct config_device *dev, char *err)
{
	for (unsigned int i = 0; dev->throttle_group && i < cfg->nr_devices;
	     i++) {
		struct config_device *other = &cfg->device[i];

		if (!other->throttle_group || !is_throttled(other) ||
		    strcmp(other->throttle_group, dev->throttle_group))
			continue;
		if (is_throttled(dev) && memcmp(&dev->throttle, &other->throttle,
						sizeof(dev->throttle)))
			return config_error(err,
					    "%s: [blk %s] and [blk %s] are throttle_group = %s, but their throttle differs; say it once",
					    dev->origin, dev->name,
					    other->name, dev->throttle_group);
		dev->throttle = other->throttle;
	}
	return 0;
}

static int check_throttle(struct config *cfg, struct config_device *dev,
			  char *err)
{
	if (dev->socket.path && (is_throttled(dev) || dev->throttle_group))
		return config_error(err,
				    "%s: [blk %s] has a foreign back-end, which is not throttled from here",
				    dev->socket.origin, dev->name);
	return join_group(cfg, dev, err);
}

static int check_blk(struct config *cfg, struct config_device *dev, char *err)
{
	if (!dev->image.path && !dev->socket.path)
		return config_error(err,
				    "%s: [blk %s] needs 'path = IMAGE', or 'socket = PATH' for a vhost-user back-end",
				    dev->origin, dev->name);
	if (dev->image.path && dev->socket.path)
		return config_error(err,
				    "%s: [blk %s] has both 'path' and 'socket'; choose one",
				    dev->socket.origin, dev->name);
	/* Nobody knows how another's successor finds its place in the ring. */
	if (dev->socket.path && dev->packed)
		return config_error(err,
				    "%s: [blk %s] has a foreign back-end, which gets split rings; take 'packed' away",
				    dev->socket.origin, dev->name);
	if (dev->chain.nr && dev->format != LIFE_BLK_QCOW2)
		return config_error(err,
				    "%s: [blk %s] has 'backing', which is for 'format = qcow2'",
				    dev->chain.backing[0].file.origin,
				    dev->name);
	if (!dev->nr_queues)
		dev->nr_queues = cfg->nr_cpus < DEFAULT_MAX_QUEUES ?
					 cfg->nr_cpus :
					 DEFAULT_MAX_QUEUES;
	return check_throttle(cfg, dev, err);
}

/* Who is not our process has limits of his own. */
static int check_limits(const struct config_device *dev, char *err)
{
	for (int i = 0; i < CONFIG_NR_LIMITS; i++)
		if (dev->socket.path && dev->limits[i].origin)
			return config_error(err,
					    "%s: %s: %s has a foreign back-end, whose process is not ours to limit",
					    dev->limits[i].origin,
					    config_limit_key(i), dev->name);
	return 0;
}

static int check_devices(struct config *cfg, char *err)
{
	const struct config_device *terminal = NULL;

	for (unsigned int i = 0; i < cfg->nr_devices; i++) {
		struct config_device *dev = &cfg->device[i];

		if (!dev->max_size_bytes)
			dev->max_size_bytes = DEFAULT_MAX_SIZE;
		if (dev->on_crash == CONFIG_CRASH_INHERIT)
			dev->on_crash = cfg->on_crash;
		if (dev->role == LIFE_ROLE_BLK && check_blk(cfg, dev, err))
			return -EINVAL;
		if (check_limits(dev, err))
			return -EINVAL;
		if (dev->connect.kind != LIFE_CHARDEV_TERMINAL)
			continue;
		if (terminal)
			return config_error(err,
					    "%s: the terminal already belongs to [%s] at %s",
					    dev->connect.to.origin,
					    terminal->name,
					    terminal->connect.to.origin);
		terminal = dev;
	}
	return 0;
}

static int check_faults(const struct config *cfg, char *err)
{
	for (unsigned int i = 0; i < cfg->nr_faults; i++) {
		unsigned int index = cfg->fault[i].device;
		const struct config_device *dev;

		if (index == CONFIG_CORE)
			continue;
		dev = &cfg->device[index];
		if (dev->socket.path)
			return config_error(err,
					    "%s: %s has a foreign back-end, which takes no faults; take it out of [fault]",
					    dev->socket.origin, dev->name);
	}
	return 0;
}

static int default_name(struct config *cfg, char *err)
{
	const char *base = strrchr(cfg->file, '/');
	size_t len;

	base = base ? base + 1 : cfg->file;
	len = strlen(base);
	if (len > 5 && !strcmp(base + len - 5, ".conf"))
		len -= 5;
	cfg->name = strndup(base, len);
	if (!cfg->name)
		return -ENOMEM;
	if (!config_name_ok(cfg->name, LIFE_VM_NAME_MAX))
		return config_error(err,
				    "%s: the file's name is no name for a VM; write 'name = NAME' in [vm]",
				    cfg->file);
	return 0;
}

/* A kernel that is told nothing should talk where the user can see it. */
static int default_cmdline(struct config *cfg)
{
	const char *text = "";

	if (find_device(cfg, "console"))
		text = "console=hvc0";
	if (find_device(cfg, "serial"))
		text = "console=ttyS0";
	cfg->cmdline = strdup(text);
	return cfg->cmdline ? 0 : -ENOMEM;
}

static int check_all(struct config *cfg, char *err)
{
	int ret = 0;

	if (!cfg->name)
		ret = default_name(cfg, err);
	if (!ret && !cfg->kernel.path)
		ret = config_error(err,
				   "%s: [vm] needs 'kernel = PATH': a bzImage, or an ELF with a PVH note",
				   cfg->file);
	if (!ret && !cfg->cmdline)
		ret = default_cmdline(cfg);
	if (!ret && !cfg->memory_origin)
		cfg->memory_origin = strdup(cfg->file);
	if (!ret)
		ret = check_devices(cfg, err);
	return ret ? ret : config_add_processes(cfg, err);
}

/* Absolute folder of file, for relative paths. */
static char *folder_of(const char *file)
{
	char *copy = strdup(file);
	char *dir = copy ? realpath(dirname(copy), NULL) : NULL;

	free(copy);
	return dir;
}

static struct config *config_new(const char *file)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (!cfg)
		return NULL;
	cfg->file = strdup(file);
	cfg->dir = folder_of(file);
	cfg->memory_bytes = DEFAULT_MEMORY_BYTES;
	cfg->nr_cpus = 1;
	cfg->max_restarts = DEFAULT_RESTARTS;
	cfg->heartbeat_ms = DEFAULT_HEARTBEAT_MS;
	cfg->stop_timeout_ms = DEFAULT_STOP_MS;
	return cfg;
}

static int fill(struct config_source *src, const char *const *sets,
		unsigned int nr_sets, struct config *cfg)
{
	char *cwd;
	int ret = config_read(src);

	for (unsigned int i = 0; !ret && i < nr_sets; i++)
		ret = config_read_set(src, sets[i]);
	if (ret)
		return ret;
	cwd = getcwd(NULL, 0);
	if (!cfg->file || !cfg->dir || !cwd) {
		ret = -errno;
		goto out;
	}
	ret = take_sections(src, cfg);
	for (unsigned int i = 0; !ret && i < src->nr_entries; i++)
		if (!is_fault(&src->entry[i]))
			ret = take_entry(src, &src->entry[i], cfg, cwd);
	if (!ret)
		ret = check_all(cfg, src->err);
	/* They name processes, which are known now. */
	for (unsigned int i = 0; !ret && i < src->nr_entries; i++)
		if (is_fault(&src->entry[i]))
			ret = config_take_fault(src, &src->entry[i], cfg);
	if (!ret)
		ret = check_faults(cfg, src->err);
out:
	free(cwd);
	return ret;
}

int config_load(const char *file, const char *const *sets,
		unsigned int nr_sets, struct config **out,
		char err[CONFIG_ERROR_MAX])
{
	struct config_source *src = calloc(1, sizeof(*src));
	struct config *cfg = config_new(file);
	int ret = -ENOMEM;

	err[0] = '\0';
	if (!src || !cfg)
		goto out;
	src->file = file;
	src->err = err;
	ret = fill(src, sets, nr_sets, cfg);
out:
	if (ret && !err[0])
		snprintf(err, CONFIG_ERROR_MAX, "%s: %s", file, strerror(-ret));
	if (src)
		config_source_free(src);
	free(src);
	if (ret) {
		config_free(cfg);
		cfg = NULL;
	}
	*out = cfg;
	return ret;
}

static void free_limits(struct config_limit limits[CONFIG_NR_LIMITS])
{
	for (int i = 0; i < CONFIG_NR_LIMITS; i++)
		free(limits[i].origin);
}

static void free_path(struct config_path *path)
{
	free(path->path);
	free(path->origin);
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (unsigned int i = 0; i < cfg->nr_devices; i++) {
		struct config_device *dev = &cfg->device[i];

		if (dev->process)
			continue;	/* its texts are the disk's */
		free(dev->origin);
		free_path(&dev->image);
		config_free_chain(&dev->chain);
		free_path(&dev->socket);
		free_path(&dev->record);
		free_path(&dev->connect.to);
		free_limits(dev->limits);
		free(dev->serial);
		free(dev->throttle_group);
	}
	free_path(&cfg->kernel);
	free_path(&cfg->initrd);
	free_path(&cfg->cgroup);
	free_limits(cfg->core_limits);
	free(cfg->memory_origin);
	free(cfg->cmdline);
	free(cfg->name);
	free(cfg->dir);
	free(cfg->file);
	free(cfg);
}
