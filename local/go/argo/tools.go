//go:build tools

// Package tools names what the local cluster builds of Argo Workflows: its controller and its executor.
package tools

import (
	_ "github.com/argoproj/argo-workflows/v3/cmd/argoexec"
	_ "github.com/argoproj/argo-workflows/v3/cmd/workflow-controller"
)
