// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools pins the Go programs that tests run (go.mod, go.sum).
package tools

import _ "github.com/containernetworking/cni/cnitool"
