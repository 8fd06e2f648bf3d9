//go:build tools

// Package tools names the program that the local cluster builds from this module. Its versions are those of
// ../kubernetes, so it shares what was compiled for the API server: a tenth of the time.
package tools

import _ "github.com/rancher/local-path-provisioner"
