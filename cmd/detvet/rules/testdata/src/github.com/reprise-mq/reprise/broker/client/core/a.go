// Package core is no shell, though it lies below one.
package core

import "os" // want `the core imports os: go through env.Disk`

var _ = os.Args
