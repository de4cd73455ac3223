/* SPDX-License-Identifier: Apache-2.0 */
/* The allow-list of MSRs, and the filter that KVM is given for it. */
#include <check.h>
#include <stdlib.h>

#include "vmm-core/msr_filter.h"

/* As KVM reads it; api.rst, KVM_X86_SET_MSR_FILTER. */
static bool kvm_allows(const struct kvm_msr_filter *filter, uint32_t index,
		       uint32_t access)
{
	for (int i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		const struct kvm_msr_filter_range *range = &filter->ranges[i];
		uint32_t n = index - range->base;

		if (!range->nmsrs || n >= range->nmsrs ||
		    !(range->flags & access))
			continue;
		return range->bitmap[n / 8] >> n % 8 & 1;
	}
	return !(filter->flags & KVM_MSR_FILTER_DEFAULT_DENY);
}

/* Every number there is, in the pages where any list could have one. */
START_TEST(the_filter_is_the_list)
{
	const struct kvm_msr_filter *filter = msr_filter_build();
	static const uint32_t pages[] = { 0, 0x4b564d00, 0x40000000,
					  0xc0000000, 0xc0010000, 0xffff0000 };
	unsigned int allowed = 0;

	for (size_t p = 0; p < sizeof(pages) / sizeof(*pages); p++) {
		for (uint32_t n = 0; n < 0x10000; n++) {
			uint32_t index = pages[p] + n;
			bool reads = msr_filter_allows(index, false);
			bool writes = msr_filter_allows(index, true);

			/* An assertion costs a system call; there are many. */
			if (kvm_allows(filter, index, KVM_MSR_FILTER_READ) !=
			    reads ||
			    kvm_allows(filter, index, KVM_MSR_FILTER_WRITE) !=
			    writes)
				ck_abort_msg("0x%x", index);
			allowed += reads || writes;
		}
	}
	ck_assert_uint_gt(allowed, 200);
	ck_assert_uint_lt(allowed, 500);
}
END_TEST

START_TEST(sizes_are_what_kvm_takes)
{
	const struct kvm_msr_filter *filter = msr_filter_build();

	ck_assert_uint_eq(filter->flags, KVM_MSR_FILTER_DEFAULT_DENY);
	for (int i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		ck_assert_uint_eq(filter->ranges[i].nmsrs % 64, 0);
		ck_assert_uint_le(filter->ranges[i].nmsrs, 0x600 * 8);
		ck_assert(!filter->ranges[i].nmsrs ==
			  !filter->ranges[i].bitmap);
	}
}
END_TEST

START_TEST(kernels_have_what_they_need)
{
	static const uint32_t both[] = { 0x10, 0x1b, 0x174, 0x277, 0x6e0,
		0x4b564d00, 0x4b564d01, 0xc0000080, 0xc0000082, 0xc0000100,
		0xc0000102 };

	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		ck_assert(msr_filter_allows(both[i], false));
		ck_assert(msr_filter_allows(both[i], true));
	}
	ck_assert(msr_filter_allows(0xfe, false));
	ck_assert(!msr_filter_allows(0xfe, true));
	ck_assert(!msr_filter_allows(0x49, false));
}
END_TEST

/* VMX, SVM, processor trace, Hyper-V, microcode, SGX, IBS. */
START_TEST(what_no_guest_needs_is_refused)
{
	static const uint32_t none[] = { 0x79, 0x8c, 0x480, 0x491, 0x560, 0x570,
		0x680, 0x14ce, 0x40000000, 0x400000f0, 0xc0000104, 0xc0010020,
		0xc0010114, 0xc0010117, 0xc0011030, 0xffffffff };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		ck_assert_msg(!msr_filter_allows(none[i], false), "0x%x",
			      none[i]);
		ck_assert_msg(!msr_filter_allows(none[i], true), "0x%x",
			      none[i]);
	}
}
END_TEST

START_TEST(a_refusal_is_an_error_and_counted)
{
	struct msr_refusals refusals = { 0 };
	struct kvm_run run = { .exit_reason = KVM_EXIT_X86_WRMSR };

	for (int i = 0; i < 100; i++) {
		run.msr.error = 0;
		run.msr.index = 0x480;
		msr_filter_refuse(0, &run, &refusals);
		ck_assert_uint_eq(run.msr.error, 1);
	}
	ck_assert_uint_eq(refusals.count, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("msr_filter");
	TCase *tcase = tcase_create("msr_filter");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, the_filter_is_the_list);
	tcase_add_test(tcase, sizes_are_what_kvm_takes);
	tcase_add_test(tcase, kernels_have_what_they_need);
	tcase_add_test(tcase, what_no_guest_needs_is_refused);
	tcase_add_test(tcase, a_refusal_is_an_error_and_counted);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
