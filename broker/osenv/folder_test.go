package osenv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

func mustOpen(t *testing.T, path string) *Folder {
	t.Helper()
	f, err := OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFolderIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	f := mustOpen(t, path)
	if _, err := OpenFolder(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("opened twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
}

func TestUnusableFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "data")} {
		if _, err := OpenFolder(path); err == nil || !strings.Contains(err.Error(), "a file stands where a folder belongs") {
			t.Errorf("%s: %v", path, err)
		}
	}
	lock := filepath.Join(dir, "data", lockName)
	if err := os.MkdirAll(lock, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(filepath.Dir(lock)); err == nil {
		t.Error("opened a folder whose lock is a folder")
	}
}

func TestListLeavesOutForeignFiles(t *testing.T) {
	path := t.TempDir()
	f := mustOpen(t, path)
	os.WriteFile(filepath.Join(path, "kept"), []byte("123"), 0o600)
	os.WriteFile(filepath.Join(path, "Capital"), nil, 0o600)
	os.Mkdir(filepath.Join(path, "lost+found"), 0o700)
	os.Mkdir(filepath.Join(path, "folder"), 0o700)
	os.Symlink("/etc/passwd", filepath.Join(path, "link"))
	entries, err := f.List("")
	slices.SortFunc(entries, func(a, b env.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	if want := []env.FileInfo{{Name: "folder/"}, {Name: "kept", Size: 3}}; err != nil || !slices.Equal(entries, want) {
		t.Fatalf("listed %v, %v", entries, err)
	}
}

// A name that goes while a folder is listed does not make the folder one that is not there,
// which would be an empty one: a node would take its journal for a new one.
func TestListWhileFilesGo(t *testing.T) {
	path := t.TempDir()
	f := mustOpen(t, path)
	os.Mkdir(filepath.Join(path, "journal"), 0o700)
	os.WriteFile(filepath.Join(path, "journal", "00"), []byte("123"), 0o600)
	entries, err := f.describe("journal/", []string{".Foreign.swp", "gone", "00"})
	if want := []env.FileInfo{{Name: "journal/00", Size: 3}}; err != nil || !slices.Equal(entries, want) {
		t.Fatalf("listed %v, %v", entries, err)
	}
	if entries, err := f.List("nowhere/"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("of no folder: %v, %v", entries, err)
	}
}

func TestLinksDoNotLeadOut(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600)
	os.Symlink(outside, filepath.Join(path, "out"))
	f := mustOpen(t, path)
	if _, err := f.Open("out/secret", false); err == nil {
		t.Error("opened a file outside")
	}
	if _, err := f.Open("out/new", true); err == nil {
		t.Error("created a file outside")
	}
	if err := f.Remove("out/secret"); err == nil {
		t.Error("removed a file outside")
	}
	if _, err := f.List("out/"); err == nil {
		t.Error("listed a folder outside")
	}
}

func TestRemoveTellsFilesFromFolders(t *testing.T) {
	f := mustOpen(t, t.TempDir())
	if err := f.MakeFolder("folder/"); err != nil {
		t.Fatal(err)
	}
	file, err := f.Open("file", true)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if f.Remove("folder") == nil || f.Remove("file/") == nil {
		t.Fatal("removed a folder by a file's name, or the other way")
	}
	if f.Remove("folder/") != nil || f.Remove("file") != nil {
		t.Fatal("not removed by its own name")
	}
}

func TestFileSystem(t *testing.T) {
	if name, err := FileSystem(t.TempDir()); err != nil || name == "" {
		t.Fatalf("%q, %v", name, err)
	}
	if name, err := FileSystem("/proc/self/does-not-exist"); err == nil {
		t.Fatalf("a missing folder is on %q", name)
	}
}
