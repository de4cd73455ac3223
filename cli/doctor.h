/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of `bulkhead doctor`: each tries one thing of the host and says how
 * that went and what to do about it.  Nothing stays changed.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#define DOCTOR_TEXT_MAX	240	/* bytes, with the NUL */

enum doctor_verdict {
	DOCTOR_OK,
	DOCTOR_WARN,		/* works, with something less */
	DOCTOR_FAIL,		/* VMs cannot run */
	DOCTOR_NR_VERDICTS,
};

struct doctor_result {
	enum doctor_verdict verdict;
	char found[DOCTOR_TEXT_MAX];
	char advice[DOCTOR_TEXT_MAX];	/* empty if there is nothing to do */
};

struct doctor_check {
	const char *name;
	void (*run)(struct doctor_result *result);
};

void doctor_say(struct doctor_result *result, enum doctor_verdict verdict,
		const char *advice, const char *found, ...)
	__attribute__((format(printf, 4, 5)));

/* doctor_kvm.c */
void doctor_kvm_device(struct doctor_result *result);
void doctor_kvm_ring0(struct doctor_result *result);
void doctor_kvm_exits(struct doctor_result *result);

/* doctor_jail.c */
void doctor_namespaces(struct doctor_result *result);
void doctor_ids(struct doctor_result *result);
void doctor_landlock(struct doctor_result *result);
void doctor_seccomp(struct doctor_result *result);

/* doctor_host.c */
void doctor_io_uring(struct doctor_result *result);
void doctor_memfd(struct doctor_result *result);
void doctor_cgroup(struct doctor_result *result);
void doctor_nofile(struct doctor_result *result);
void doctor_memlock(struct doctor_result *result);
void doctor_huge_pages(struct doctor_result *result);
void doctor_tun(struct doctor_result *result);

/* doctor_disks.c; dir: in place of /sys/block */
void doctor_schedulers(struct doctor_result *result);
void doctor_schedulers_in(struct doctor_result *result, const char *dir);

/* doctor_walls.c */
void doctor_msr_filter(struct doctor_result *result);
void doctor_core_sched(struct doctor_result *result);
void doctor_speculation(struct doctor_result *result);
void doctor_mdwe(struct doctor_result *result);

/* doctor_vm.c: a VM of one page of code, for the KVM checks. */
struct doctor_vm {
	int kvm_fd;
	int vm_fd;
	int vcpu_fd;
	struct kvm_run *run;
	int run_bytes;
	unsigned char *ram;
};

/*
 * Its guest runs in flat 32-bit mode, ring 0.  code is copied to address 0x1000.
 * Return: 0, or -errno, and then *step names what failed.
 */
int doctor_vm_open(struct doctor_vm *vm, const unsigned char *code,
		   unsigned int code_bytes, const char **step);
void doctor_vm_close(struct doctor_vm *vm);

/*
 * Run for at most max_ms, or until nr_exits port writes have been seen.
 * Return: exits seen, or -errno.
 */
int doctor_vm_run(struct doctor_vm *vm, int nr_exits, int max_ms);

#endif
