/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves of cgroup2 for the processes of a VM, see cgroup.h.
 *
 * Theory of operation.  cgroup_open() makes the folder, asks for controllers
 * from above (cgroup.subtree_control of the parent, then of the folder), and
 * makes the leaves.  A cgroup with processes of its own cannot give its
 * controllers to others (cgroup-v2.rst, "No Internal Process Constraint"), so
 * with cgroup = auto the supervisor goes into a leaf too where that is in the
 * way.  cgroup_close() takes the same steps back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "cli/cgroup.h"
#include "cli/cgroup_priv.h"
#include "cli/children.h"

static const char *const controllers[] = { "cpu", "memory", "io" };

#define NR_CONTROLLERS	(sizeof(controllers) / sizeof(controllers[0]))

/* How long processes of a dead VM may take to be gone from its leaves. */
#define TAKE_OVER_MS	10000	/* by its name the folder is ours */
#define TAKE_OVER_PATH_MS 2000	/* a living VM may have the user's, too */

/* --- controllers ------------------------------------------------------------- */

/* sign: '+' to give it to the cgroups below, '-' to take it back. */
static int control_subtree(const char *folder, char sign, const char *name)
{
	char text[16];

	snprintf(text, sizeof(text), "%c%s", sign, name);
	return cgroup_write(folder, "cgroup.subtree_control", text);
}

/* Leave the cgroup that we were started in, so that it has no process. */
static int make_room(struct cgroup *cg)
{
	int ret = cgroup_make(cg->folder, "supervisor");

	if (!ret)
		ret = cgroup_enter(cg->folder, "supervisor");
	cg->moved = !ret;
	return ret;
}

/*
 * From the parent to the folder.  Never with processes in the parent: memory
 * and io would be refused, but cpu, which has threads of its own, would be
 * granted and make of the parent the root of a threaded subtree, in which no
 * other cgroup can have controllers (cgroup-v2.rst, "Threads").
 */
static void ask_parent(struct cgroup *cg, const char *name)
{
	if (cgroup_is_occupied(cg->parent) && cg->automatic && !cg->moved)
		(void)make_room(cg);
	if (cgroup_is_occupied(cg->parent))
		return;
	if (!control_subtree(cg->parent, '+', name))
		cg->given |= 1u << cgroup_bit(name);
}

unsigned int cgroup_bit(const char *name)
{
	unsigned int bit = 0;

	while (bit < NR_CONTROLLERS && strcmp(controllers[bit], name))
		bit++;
	return bit;
}

static void open_controllers(struct cgroup *cg)
{
	for (unsigned int i = 0; i < NR_CONTROLLERS; i++) {
		if (!cgroup_offers(cg->folder, controllers[i]) &&
		    cgroup_offers(cg->parent, controllers[i]))
			ask_parent(cg, controllers[i]);
		if (cgroup_offers(cg->folder, controllers[i]))
			control_subtree(cg->folder, '+', controllers[i]);
	}
}

/* --- limits -------------------------------------------------------------------- */

/* io.max wants to know of which device; a partition has no limits of its own. */
static int disk_number(const struct device *dev, char *text, size_t len)
{
	char path[64], number[32];
	struct stat st;
	dev_t disk;
	int ret;

	if (fstat(dev->end.fd, &st) < 0)
		return -errno;
	disk = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(disk),
		 minor(disk));
	if (access(path, F_OK) < 0)
		return -ENODEV;
	if (cgroup_read(path, "partition", number, sizeof(number)) == 0) {
		ret = cgroup_read(path, "../dev", number, sizeof(number));
		number[strcspn(number, "\n")] = '\0';
		snprintf(text, len, "%s ", number);
		return ret;
	}
	snprintf(text, len, "%u:%u ", major(disk), minor(disk));
	return 0;
}

static int limit_failed(const struct config_limit *limit, const char *key,
			const char *what, int err, char why[VM_WHY_MAX])
{
	snprintf(why, VM_WHY_MAX, "%.120s: %s: %.300s%s%.64s", limit->origin, key, what,
		 err ? ": " : "", err ? strerror(err) : "");
	return err ? -err : -ENOTSUP;
}

static int set_limit(const struct cgroup *cg, const char *leaf,
		     const struct device *dev, enum config_limit_kind kind,
		     const struct config_limit *limit, char why[VM_WHY_MAX])
{
	const char *key = config_limit_key(kind);
	char path[CGROUP_PATH_MAX], text[160], what[400];
	int ret;

	if (!cgroup_offers(cg->folder, config_limit_controller(kind))) {
		snprintf(what, sizeof(what),
			 "%.180s has no '%s' controller; Delegate=yes in its systemd unit, or its name with a + in the cgroup.subtree_control above, grants it",
			 cg->folder, config_limit_controller(kind));
		return limit_failed(limit, key, what, 0, why);
	}
	text[0] = '\0';
	if (kind == CONFIG_LIMIT_IO_MAX) {
		ret = disk_number(dev, text, sizeof(text));
		if (ret)
			return limit_failed(limit, key,
					    "the image lies on no block device of this host, which alone has such limits",
					    0, why);
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
		 limit->text);
	cgroup_path(path, cg->folder, leaf);
	ret = cgroup_write(path, config_limit_file(kind), text);
	if (!ret)
		return 0;
	snprintf(what, sizeof(what), "%.200s/%s does not take '%.60s'", path,
		 config_limit_file(kind), text);
	return limit_failed(limit, key, what, -ret, why);
}

/* --- leaves -------------------------------------------------------------------- */

static int open_leaf(struct cgroup *cg, struct child *child,
		     const struct config_limit limits[CONFIG_NR_LIMITS],
		     char why[VM_WHY_MAX])
{
	char path[CGROUP_PATH_MAX];
	int ret = cgroup_make(cg->folder, child->name);

	cgroup_path(path, cg->folder, child->name);
	if (!ret) {
		child->cgroup_fd = open(path,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ret = child->cgroup_fd < 0 ? -errno : 0;
	}
	if (ret) {
		snprintf(why, VM_WHY_MAX, "%.200s: cgroup: cannot be made: %s",
			 path, strerror(-ret));
		return ret;
	}
	for (int i = 0; !ret && i < CONFIG_NR_LIMITS; i++)
		if (limits[i].origin)
			ret = set_limit(cg, child->name, device_of(child), i,
					&limits[i], why);
	return ret;
}

static const struct config_limit *limits_of(struct child *child)
{
	return device_of(child) ? device_of(child)->cfg->limits :
				  child->vm->cfg->core_limits;
}

/* A spare is in the leaf of its device. */
static int open_leaves(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret = 0;

	for (struct child *c = vm_next_child(vm, NULL); c && !ret;
	     c = vm_next_child(vm, c))
		if (!c->spare)
			ret = open_leaf(vm->cgroup, c, limits_of(c), why);
	return ret;
}

/* --- the folder ---------------------------------------------------------------- */

static bool is_wanted(const struct config *cfg)
{
	bool wanted = cfg->cgroup.path || config_has_limits(cfg->core_limits);

	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		wanted = wanted || config_has_limits(cfg->device[i].limits);
	return wanted;
}

static int folder_failed(const struct vm *vm, const char *what, int err,
			 char why[VM_WHY_MAX])
{
	const struct config *cfg = vm->cfg;

	snprintf(why, VM_WHY_MAX, "%.160s: cgroup: %.250s: %.80s",
		 cfg->cgroup.path ? cfg->cgroup.origin : cfg->file, what,
		 strerror(err));
	return -err;
}

/* Where the folder is: below our own cgroup, or where the user says. */
static int find_folder(struct vm *vm, char why[VM_WHY_MAX])
{
	const char *path = vm->cfg->cgroup.path;
	struct cgroup *cg = vm->cgroup;
	char *slash;
	int len, ret;

	cg->automatic = !path || !strcmp(path, "auto");
	if (!cg->automatic) {
		len = snprintf(cg->folder, sizeof(cg->folder), "%s", path);
	} else {
		ret = cgroup_own_path(cg->parent);
		if (ret)
			return folder_failed(vm, "this host has no cgroup2 that this process is in; mount it at /sys/fs/cgroup",
					     -ret, why);
		len = snprintf(cg->folder, sizeof(cg->folder),
			       "%s/bulkhead-%s", cg->parent, vm->cfg->name);
	}
	/* Room for a leaf's name. */
	if (len >= (int)sizeof(cg->folder) - 64)
		return folder_failed(vm, "its path", ENAMETOOLONG, why);
	strcpy(cg->parent, cg->folder);
	slash = strrchr(cg->parent, '/');
	*slash = '\0';
	if (!cgroup_is_one(cg->parent))
		return folder_failed(vm, "the folder above it is none of cgroup2; give the path of one, or auto",
				     ENOTDIR, why);
	return 0;
}

/*
 * What a folder that was there has in it is a dead VM's, whose processes may
 * take a moment to be gone: whoever restarts a supervisor that was killed is
 * faster than their memory is freed.
 */
static int take_over(const struct cgroup *cg)
{
	const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };
	int most_ms = cg->automatic ? TAKE_OVER_MS : TAKE_OVER_PATH_MS;
	int ret = cgroup_remove_below(cg->folder);

	for (int i = 0; i < most_ms / 10 && ret == -EBUSY; i++) {
		nanosleep(&moment, NULL);
		ret = cgroup_remove_below(cg->folder);
	}
	return ret;
}

static int open_folder(struct vm *vm, char why[VM_WHY_MAX])
{
	struct cgroup *cg = vm->cgroup;
	char what[CGROUP_PATH_MAX];
	int ret;
	bool fresh = mkdir(cg->folder, 0755) == 0;

	/* By its name it is ours, even if another one made it. */
	cg->made = fresh || cg->automatic;
	if (!fresh && errno != EEXIST) {
		ret = errno;
		snprintf(what, sizeof(what),
			 "%.120s cannot be made; have a part of the tree delegated to you (systemd-run --user --scope -p Delegate=yes), or be root",
			 cg->folder);
		return folder_failed(vm, what, ret, why);
	}
	ret = fresh ? 0 : take_over(cg);
	if (!ret)
		return 0;
	snprintf(what, sizeof(what),
		 "%.150s is in use by another VM; choose another folder or name",
		 cg->folder);
	return folder_failed(vm, what, -ret, why);
}

int cgroup_open(struct vm *vm, char why[VM_WHY_MAX])
{
	int ret;

	if (!is_wanted(vm->cfg))
		return 0;
	vm->cgroup = calloc(1, sizeof(*vm->cgroup));
	if (!vm->cgroup)
		return -ENOMEM;
	ret = find_folder(vm, why);
	if (!ret)
		ret = open_folder(vm, why);
	if (ret) {
		/* Nothing in there is ours. */
		free(vm->cgroup);
		vm->cgroup = NULL;
		return ret;
	}
	open_controllers(vm->cgroup);
	return open_leaves(vm, why);
}

/* Back to where we were started; for that it must give nothing away. */
static void move_back(const struct cgroup *cg)
{
	for (unsigned int i = 0; i < NR_CONTROLLERS; i++) {
		control_subtree(cg->folder, '-', controllers[i]);
		if (cg->given & 1u << i)
			control_subtree(cg->parent, '-', controllers[i]);
	}
	if (cg->moved && cgroup_enter(cg->parent, NULL))
		log_debug("cgroup: %s is kept by others; %s stays",
			  cg->parent, cg->folder);
}

void cgroup_close(struct vm *vm)
{
	struct cgroup *cg = vm->cgroup;

	for (struct child *c = vm_next_child(vm, NULL); c;
	     c = vm_next_child(vm, c)) {
		if (c->spare)
			continue;
		if (c->cgroup_fd >= 0)
			close(c->cgroup_fd);
		c->cgroup_fd = -1;
		if (cg)
			cgroup_remove(cg->folder, c->name);
	}
	if (!cg)
		return;
	move_back(cg);
	if (cg->moved)
		cgroup_remove(cg->folder, "supervisor");
	if (cg->made)
		cgroup_remove(cg->folder, NULL);
	free(cg);
	vm->cgroup = NULL;
}
