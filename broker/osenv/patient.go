package osenv

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
)

// askAgain is how long a call waits before it asks for a file once more.
const askAgain = 10 * time.Millisecond

// patient is an FS that waits while no more files can be opened, by this process or by
// the machine. That says nothing of the disk: told as an error it would be taken for
// damage, and what lies there in good order would be copied anew from others. As it is,
// the disk is slow for a while, which a node knows how to live with.
type patient struct {
	FS
	done  chan struct{} // closed: nobody waits any longer
	first sync.Once
	short func(error) // told of the first call that waits
}

// isShortage says whether nothing was done, because no file was to be had.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (p *patient) wait(f func() error) error {
	for {
		err := f()
		if !isShortage(err) {
			return err
		}
		p.first.Do(func() { p.short(err) })
		select {
		case <-p.done:
			return err
		case <-time.After(askAgain):
		}
	}
}

func (p *patient) Open(name string, create bool) (file File, err error) {
	err = p.wait(func() error {
		file, err = p.FS.Open(name, create)
		return err
	})
	return file, err
}

// A name is reached by way of its folders, which are opened too.

func (p *patient) MakeFolder(name string) error {
	return p.wait(func() error { return p.FS.MakeFolder(name) })
}

func (p *patient) Remove(name string) error {
	return p.wait(func() error { return p.FS.Remove(name) })
}

func (p *patient) List(folder string) (entries []env.FileInfo, err error) {
	err = p.wait(func() error {
		entries, err = p.FS.List(folder)
		return err
	})
	return entries, err
}

func (p *patient) SyncFolder(name string) error {
	return p.wait(func() error { return p.FS.SyncFolder(name) })
}
