package osenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/reprise-mq/reprise/broker/env"
)

// lockName is a name that no file of a Disk can have.
const lockName = "LOCK"

const (
	folderMode = 0o750
	fileMode   = 0o640
)

// Folder is a data folder that this process alone uses. It implements FS, and
// nothing done through it reaches beyond the folder, not by symbolic links either.
type Folder struct {
	root *os.Root
	lock *os.File
}

// OpenFolder makes the folder if it is not there, and locks it until Close or the
// end of the program. The error says what is in the way.
func OpenFolder(path string) (*Folder, error) {
	if err := makePath(path); err != nil {
		return nil, unusable(path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	lock, err := root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		root.Close()
		return nil, unusable(path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		root.Close()
		return nil, unusable(path, err)
	}
	return &Folder{root: root, lock: lock}, nil
}

// Close unlocks the folder. The disk that uses it must be closed before.
func (f *Folder) Close() error {
	return errors.Join(f.lock.Close(), f.root.Close())
}

// Open opens a file; see FS.
func (f *Folder) Open(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	file, err := f.root.OpenFile(name, flags, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// MakeFolder makes a folder; see FS.
func (f *Folder) MakeFolder(name string) error { return f.root.Mkdir(within(name), folderMode) }

// Remove removes a file or folder; see FS.
func (f *Folder) Remove(name string) error {
	info, err := f.root.Lstat(within(name))
	if err != nil {
		return err
	}
	if info.IsDir() != env.IsFolder(name) {
		return fs.ErrNotExist // a folder is there where a file is meant, or the other way
	}
	return f.root.Remove(within(name))
}

// List lists a folder; see FS. What cannot have been made by a Disk is left out:
// the lock, and what a file system keeps at its top.
func (f *Folder) List(folder string) ([]env.FileInfo, error) {
	d, err := f.root.Open(within(folder))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return f.describe(folder, names)
}

// describe tells files from folders among the names found in a folder. Somebody else may
// have removed one since: that one is not there, and nothing follows for the folder.
func (f *Folder) describe(folder string, names []string) ([]env.FileInfo, error) {
	entries := make([]env.FileInfo, 0, len(names))
	for _, name := range names {
		if env.CheckFile(folder+name) != nil {
			continue
		}
		info, err := f.root.Lstat(folder + name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.IsDir():
			entries = append(entries, env.FileInfo{Name: folder + name + "/"})
		case info.Mode().IsRegular():
			entries = append(entries, env.FileInfo{Name: folder + name, Size: info.Size()})
		}
	}
	return entries, nil
}

// SyncFolder syncs a folder; see FS.
func (f *Folder) SyncFolder(name string) error {
	d, err := f.root.Open(within(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Free asks the file system; see FS.
func (f *Folder) Free() (int64, error) { return freeBytes(f.lock) }

// FreeBytes is how much room the file system has that holds path.
func FreeBytes(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return freeBytes(f)
}

// within is a name of a Disk as os.Root takes it.
func within(name string) string {
	if name == "" {
		return "."
	}
	return strings.TrimSuffix(name, "/")
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync leaves out the time stamps: what it takes to read the file again, its size
// included, is synced nonetheless.
func (f osFile) Sync() error { return syncData(f.File) }

// makePath makes a folder and those above it, durably.
func makePath(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return syscall.ENOTDIR
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	above := filepath.Dir(filepath.Clean(path))
	if err := makePath(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(above)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// unusable says why a data folder cannot be used and what to try.
func unusable(path string, err error) error {
	var what string
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		what = "another process is using it; stop that one, or choose another folder"
	case errors.Is(err, syscall.ENOTDIR):
		what = "a file stands where a folder belongs; move it away, or choose another folder"
	case errors.Is(err, fs.ErrPermission):
		what = "not allowed to use it; change its owner or mode, or choose another folder"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		what = "the disk is full; free some space, or choose another folder"
	case errors.Is(err, syscall.EROFS):
		what = "the file system is read-only; choose another folder"
	default:
		what = "check the disk, or choose another folder"
	}
	return fmt.Errorf("data folder %q: %s (%w)", path, what, err)
}
