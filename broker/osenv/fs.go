package osenv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/reprise-mq/reprise/broker/env"
)

// FS is what Disk needs of a file system. Folder is the real one; a test puts its
// own between the two to make it fail. Names are those of env.Disk, already
// checked. Errors are the operating system's.
type FS interface {
	// Open opens a file for reading and writing; with create it makes the file,
	// which must not be there.
	Open(name string, create bool) (File, error)
	// MakeFolder makes a folder in one that is there.
	MakeFolder(name string) error
	// Remove removes a file, or an empty folder.
	Remove(name string) error
	// List gives the files and folders directly in a folder, in any order. It fails with
	// fs.ErrNotExist only where the folder itself is not there: that is taken to be empty.
	List(folder string) ([]env.FileInfo, error)
	// SyncFolder makes the names in a folder durable.
	SyncFolder(name string) error
	// Free is how many bytes files can still grow by.
	Free() (int64, error)
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the file's size in bytes.
	Size() (int64, error)
	// Truncate cuts the file, or extends it with zeros.
	Truncate(size int64) error
	// Sync makes contents and size durable.
	Sync() error
}

var (
	errNotFolder = errors.New("a file stands where a folder of the node belongs; move it away")
	errFolder    = errors.New("a folder stands where a file of the node belongs; move it away")
)

// explain turns an error of the operating system into one of env.Disk, or leaves
// it, with what was being done.
func explain(err error, doing, name string) error {
	if err == nil {
		return nil
	}
	cause := err
	var path *fs.PathError
	if errors.As(err, &path) {
		cause = path.Err // it would say what and which file a second time
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = env.ErrNotExist
	case errors.Is(err, syscall.ENOTEMPTY): // which Go counts among fs.ErrExist
	case errors.Is(err, fs.ErrExist):
		cause = env.ErrExist
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		cause = env.ErrNoSpace
	case errors.Is(err, syscall.EIO):
		cause = env.ErrIO
	case errors.Is(err, syscall.ENOTDIR):
		cause = errNotFolder
	case errors.Is(err, syscall.EISDIR):
		cause = errFolder
	}
	return fmt.Errorf("%s %q: %w", doing, name, cause)
}
