package osenv

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
)

// faulty is an FS that asks before everything it does. The answer may take its
// time; an error is returned instead of doing it.
type faulty struct {
	FS
	ask func(doing, name string) error

	mu   sync.Mutex
	log  []string // "doing name", in the order of asking
	open int      // files
	most int      // files open at one time
}

func (f *faulty) before(doing, name string) error {
	f.mu.Lock()
	f.log = append(f.log, doing+" "+name)
	ask := f.ask
	f.mu.Unlock()
	if err := ask(doing, name); err != nil {
		return &fs.PathError{Op: doing, Path: "/secret/" + name, Err: err}
	}
	return nil
}

func (f *faulty) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

func (f *faulty) count(did string) (n int) {
	for _, d := range f.did() {
		if d == did {
			n++
		}
	}
	return n
}

// mostOpen is how many files were open at one time.
func (f *faulty) mostOpen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

func (f *faulty) opened(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open += n
	f.most = max(f.most, f.open)
}

func (f *faulty) Open(name string, create bool) (File, error) {
	doing := "open"
	if create {
		doing = "create"
	}
	if err := f.before(doing, name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	f.opened(1)
	return &faultyFile{file, f, name}, nil
}

func (f *faulty) MakeFolder(name string) error {
	return cmpErr(f.before("mkdir", name), func() error { return f.FS.MakeFolder(name) })
}

func (f *faulty) Remove(name string) error {
	return cmpErr(f.before("remove", name), func() error { return f.FS.Remove(name) })
}

func (f *faulty) SyncFolder(name string) error {
	return cmpErr(f.before("sync", name), func() error { return f.FS.SyncFolder(name) })
}

func (f *faulty) List(name string) ([]env.FileInfo, error) {
	if err := f.before("list", name); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

type faultyFile struct {
	File
	fs   *faulty
	name string
}

// WriteAt fails after half of the bytes.
func (f *faultyFile) WriteAt(data []byte, position int64) (int, error) {
	if err := f.fs.before("write", f.name); err != nil {
		n, _ := f.File.WriteAt(data[:len(data)/2], position)
		return n, err
	}
	return f.File.WriteAt(data, position)
}

func (f *faultyFile) ReadAt(data []byte, position int64) (int, error) {
	if err := f.fs.before("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(data, position)
}

func (f *faultyFile) Sync() error {
	return cmpErr(f.fs.before("sync", f.name), f.File.Sync)
}

func (f *faultyFile) Close() error {
	f.fs.opened(-1)
	return f.File.Close()
}

func cmpErr(err error, otherwise func() error) error {
	if err != nil {
		return err
	}
	return otherwise()
}

// rig is a disk on a faulty FS, and a process that notes its answers.
type rig struct {
	t      *testing.T
	fs     *faulty
	driver *Driver
	disk   *Disk
	tally  *tally
	mu     sync.Mutex
	faults map[string]error // by "doing name"
	last   env.Ticket
}

func newRig(t *testing.T) *rig {
	folder, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, driver: NewDriver(), tally: newTally(), faults: make(map[string]error)}
	r.fs = &faulty{FS: folder, ask: r.ask}
	r.disk = NewDisk(r.fs, r.driver)
	r.driver.Start(r.tally)
	t.Cleanup(func() {
		r.driver.Stop()
		r.disk.Close()
		folder.Close()
		if r.fs.open != 0 {
			t.Errorf("%d files were left open", r.fs.open)
		}
	})
	return r
}

func (r *rig) ask(doing, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults[doing+" "+name]
}

// fail makes an operation fail from now on; nil heals it.
func (r *rig) fail(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[what] = err
}

func (r *rig) calls(f func(d *Disk)) { r.driver.Do(func() { f(r.disk) }) }

func (r *rig) begin(f func(t env.Ticket)) env.Ticket {
	r.last++
	r.driver.Do(func() { f(r.last) })
	return r.last
}

// answered says whether a ticket has its answer, and which.
func (r *rig) answered(t env.Ticket) (ok bool, err error) {
	r.driver.Do(func() {
		if err, ok = r.tally.synced[t]; !ok {
			_, ok = r.tally.loaded[t]
		}
	})
	return ok, err
}

func (r *rig) await(t env.Ticket) error {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if ok, err := r.answered(t); ok {
			return err
		}
		time.Sleep(50 * time.Microsecond)
	}
	r.t.Fatalf("ticket %d was never answered; done: %v", t, r.fs.did())
	return nil
}

func (r *rig) sync(name string) error {
	r.t.Helper()
	return r.await(r.begin(func(t env.Ticket) { r.disk.Sync(t, name) }))
}

func (r *rig) wantSync(name string, want error) {
	r.t.Helper()
	if err := r.sync(name); !errors.Is(err, want) {
		r.t.Fatalf("sync of %s: %v, want %v", name, err, want)
	}
}

func (r *rig) wantFile(name, want string) {
	r.t.Helper()
	t := r.begin(func(t env.Ticket) { r.disk.Load(t, name, 0, len(want)+1) })
	r.await(t)
	var got string
	r.driver.Do(func() { got = string(r.tally.loaded[t]) })
	if got != want {
		r.t.Fatalf("%s holds %.60q, want %.60q", name, got, want)
	}
}

func (r *rig) sizeOf(name string) []env.FileInfo {
	entries, err := r.fs.FS.List(env.Above(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.DeleteFunc(entries, func(e env.FileInfo) bool { return e.Name != name })
}

// hold makes an operation wait until the returned function is called, at the latest
// when the test ends. A name with a star at its end is that of every name it begins.
func (r *rig) hold(what string) (release func()) {
	held := make(chan struct{})
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	r.fs.ask = func(doing, name string) error {
		if doing+" "+name == what || strings.HasSuffix(what, "*") && strings.HasPrefix(doing+" "+name, what[:len(what)-1]) {
			<-held
		}
		return r.ask(doing, name)
	}
	release = sync.OnceFunc(func() { close(held) })
	r.t.Cleanup(release) // before the disk waits for the operation
	return release
}
