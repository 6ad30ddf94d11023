# SPDX-License-Identifier: Apache-2.0
$(BUILD)/loader/ctl/version.o: EXTRA_CFLAGS += -DMARGAY_VERSION='"$(VERSION)"'
