//go:build tools

// Package tools names what `make bench` builds of Argo Rollouts: its controller.
package tools

import (
	_ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
)
