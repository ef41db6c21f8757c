package main

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/server"
)

// room is what a fullDisk has by its own account, and more than the machine's disk.
const room = 1 << 60

// fullDisk takes no byte while it is full.
type fullDisk struct {
	osenv.FS
	full *atomic.Bool
}

func (d fullDisk) Open(name string, create bool) (osenv.File, error) {
	f, err := d.FS.Open(name, create)
	return fullFile{f, d.full, name}, err
}

func (d fullDisk) Free() (int64, error) { return room, nil }

type fullFile struct {
	osenv.File
	full *atomic.Bool
	name string
}

func (f fullFile) WriteAt(data []byte, at int64) (int, error) {
	if f.full.Load() {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(data, at)
}

// hears closes a channel when a log says something.
type hears struct {
	what string
	said chan struct{}
	once sync.Once
}

func (h *hears) Write(line []byte) (int, error) {
	if strings.Contains(string(line), h.what) {
		h.once.Do(func() { close(h.said) })
	}
	return len(line), nil
}

func hear(what string) *hears { return &hears{what: what, said: make(chan struct{})} }

func (h *hears) await(t *testing.T) {
	t.Helper()
	select {
	case <-h.said:
	case <-time.After(patience):
		t.Errorf("the log does not say %q", h.what)
	}
}

// freeAddress gives an address of this machine at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A node that waits for room and is asked to stop does, and is not started once more.
func TestServeStopsWhileItWaitsForRoom(t *testing.T) {
	var full atomic.Bool
	var lives atomic.Int32
	starts, waits := hear("node started"), hear("starts again when there is room")
	cfg := server.Config{Node: server.NodeConfig("test"), Data: t.TempDir(), Listen: freeAddress(t), Log: slog.New(slog.NewTextHandler(io.MultiWriter(starts, waits), nil))}
	cfg.Node.Init, cfg.Node.JournalFileBytes, cfg.Node.ReserveBytes = true, 1<<20, room/2
	cfg.Disk = func(below osenv.FS) osenv.FS {
		lives.Add(1)
		return fullDisk{below, &full}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, "") }()
	starts.await(t)
	cl, err := client.New(client.Config{Bootstrap: []string{cfg.Listen}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close(context.Background())
	if err := cl.CreateTopic(t.Context(), "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	go cl.CreateTopic(asking, "u", client.TopicOptions{Partitions: 1}) // it needs room
	waits.await(t)
	stop()
	select {
	case err := <-done:
		if err != nil || lives.Load() != 1 {
			t.Errorf("%v after %d lives, want one", err, lives.Load())
		}
	case <-time.After(patience):
		t.Error("the node goes on")
	}
}
