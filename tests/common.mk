# SPDX-License-Identifier: Apache-2.0
# What the tests.mk of the layers share.

# $(call test,PATH,SOURCES,LIBRARIES): $(O)/PATH, run by tests/run
define test
$(O)/$(1): $(call objects,$(2))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(MODE) -pie -pthread -o $$@ $$^ $(3)
OBJECTS += $(call objects,$(2))
TESTS += $(O)/$(1)
endef
CHECK := -lcheck -lsubunit -lm -lrt
# The PCI side of the core, with fakes in place of KVM and of the back-ends.
PCI := vmm-core/pci.c vmm-core/pci_bar.c vmm-core/bus.c
FRONT := vmm-core/vhost_front.c vmm-core/vhost_front_replay.c ipc/vhost_user.c
VIRTIO := vmm-core/msix.c vmm-core/virtio_pci.c vmm-core/virtio_pci_regs.c \
	vmm-core/virtio_pci_bus.c vmm-core/virtio_pci_make.c vmm-core/guest_mem.c vmm-core/relink.c vmm-core/chores.c $(PCI) $(FRONT)
POLICYC_PARTS := $(filter-out policy/policyc.c,$(POLICYC))
# A vhost-user front-end that is a test program.
FRONT_END := tests/wire/front.c tests/wire/front_ring.c tests/wire/front_packed.c
