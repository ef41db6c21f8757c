//go:build !linux

package osenv

import (
	"fmt"
	"math"
	"os"
)

// syncData syncs the file.
func syncData(f *os.File) error { return f.Sync() }

// freeBytes says that there is room: this package does not know how to ask here.
func freeBytes(*os.File) (int64, error) { return math.MaxInt64, nil }

// FileSystem names the kind of file system that holds path, where the operating
// system has a way to tell that this package knows; here it has none.
func FileSystem(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("file system of %q: %w", path, err)
	}
	return "unknown", nil
}
