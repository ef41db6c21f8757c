package osenv

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// syncData is fdatasync: on Linux it covers the size, and leaves out the journal
// commit of the file system that a new time stamp alone would cost.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// freeBytes is what the file system of a file has left for this process.
func freeBytes(f *os.File) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return int64(min(s.Bavail, math.MaxInt64/uint64(s.Bsize)) * uint64(s.Bsize)), nil
}

// magic names the file systems by what statfs(2) says.
var magic = map[uint64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs",
	0xf2f52010: "f2fs", 0x6969: "nfs", 0x794c7630: "overlayfs", 0x65735546: "fuse",
	0x01021994: "tmpfs", 0x858458f6: "ramfs",
}

// FileSystem names the kind of file system that holds path. "tmpfs" and "ramfs"
// are memory: a sync there does nothing.
func FileSystem(path string) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return "", fmt.Errorf("file system of %q: %w", path, err)
	}
	if name, ok := magic[uint64(s.Type)]; ok {
		return name, nil
	}
	return fmt.Sprintf("type %#x", uint64(s.Type)), nil
}
