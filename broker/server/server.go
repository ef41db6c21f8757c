// Package server runs one node on a real machine: it brings the broker together
// with the folder, the clock and the network of the machine, and turns the
// node's events into log lines.
//
// It decides nothing about records, replicas or promises, and knows no flags.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/batch/zstd"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Config is what a server needs to know beyond its node's own configuration.
type Config struct {
	// Node: its Address is what others are told; empty means the address that
	// Listen turns out to be.
	Node broker.Config
	// Data is the folder of the node, made if it is not there.
	Data string
	// Listen is the HOST:PORT to take connections at; port 0 takes a free one.
	Listen string
	// Log takes what happens. Not nil.
	Log *slog.Logger
	// Slow is how long a request may take, beyond what it asked to wait, before it is
	// logged; 0 logs none.
	Slow time.Duration
	// Credentials secure the connections (plain text).
	Credentials rpc.Credentials
	// Auth is who is let in, and what for (everyone, for everything).
	Auth Auth
	// Disk, if not nil, stands between the node and its folder: tests make it fail.
	Disk func(osenv.FS) osenv.FS
	// Wire, if not nil, stands between the node and its network: tests cut it.
	Wire Wire
}

// Wire is where the connections of a node pass.
type Wire interface {
	// Listen stands before the listener of connections from clients and peers.
	Listen(l net.Listener) net.Listener
	// Dial opens a connection to a peer.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// NodeConfig is the configuration of a node on a real machine, which says that it is of
// a version.
func NodeConfig(version string) broker.Config {
	cfg := broker.DefaultConfig()
	cfg.Version = version
	cfg.Codecs = batch.NewCodecs(batch.NewGzip(), zstd.New())
	return cfg
}

// Server is a running node.
type Server struct {
	address string
	folder  *osenv.Folder
	disk    *osenv.Disk
	driver  *osenv.Driver
	network *rpc.Network
	node    *watched
	metrics *metrics
	version string
	log     *slog.Logger
	slow    time.Duration
	access  published

	stop sync.Once
}

// Auth is who a node lets in; see rpc.Guard for its fields.
type Auth struct {
	Required   bool
	SuperUsers []string
	PeerSecret string
}

// Start runs a node. It returns once the node recovers and connections are taken;
// until the node is ready it answers NOT_READY.
func Start(cfg Config) (*Server, error) {
	folder, err := osenv.OpenFolder(cfg.Data)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, errors.Join(unusable(cfg.Listen, err), folder.Close())
	}
	if cfg.Node.Address == "" {
		cfg.Node.Address = env.Endpoint(listener.Addr().String())
	}
	s := &Server{
		address: listener.Addr().String(), folder: folder, driver: osenv.NewDriver(),
		version: cfg.Node.Version, log: cfg.Log, slow: cfg.Slow,
	}
	s.metrics = newMetrics(s)
	var fs osenv.FS = timedFS{folder, s.metrics.syncs}
	if cfg.Disk != nil {
		fs = cfg.Disk(fs)
	}
	s.disk = osenv.NewDisk(fs, s.driver)
	s.disk.TellShortage(s.shortOfFiles)
	s.network = rpc.NewNetwork(cfg.Node.Address, s.driver, cfg.Credentials)
	s.network.ObserveBy(s.answered)
	s.limitConnections()
	if err := s.guard(cfg.Auth); err != nil {
		return nil, errors.Join(err, listener.Close(), folder.Close())
	}
	if cfg.Wire != nil {
		listener = cfg.Wire.Listen(listener)
		s.network.DialBy(cfg.Wire.Dial)
	}
	s.node = &watched{
		Node: broker.New(cfg.Node, broker.World{
			Clock: s.driver.Clock(), Disk: s.disk, Network: publishing{s.network, s},
			Random: prng.New(seed()), Trace: s.metrics.count(logEvents(cfg.Log)),
		}),
		failed: make(chan struct{}), done: make(chan struct{}), access: &s.access,
	}
	s.driver.Start(s.node)
	go func() {
		if err := s.network.Serve(listener); err != nil {
			s.driver.Post(func() { s.node.Fail(err) })
		}
	}()
	return s, nil
}

const (
	// dataFolders is how many folders of a node's disk have many files: the journal's and the
	// groups'.
	dataFolders = 2
	// otherFiles is what a node has open beside its disk and the connections it takes:
	// connections to peers and of the monitor, and what there is once.
	otherFiles = 64
	// MaxMonitors is how many connections of the monitor there may be at a time, out of these.
	MaxMonitors = 16
)

// limitConnections leaves the disk the files that it needs: while one cannot be opened, for
// there are too many connections, the disk stands still.
func (s *Server) limitConnections() {
	spare := osenv.SpareFiles(dataFolders)
	connections := max(1, spare/2, spare-otherFiles)
	s.network.LimitTo(connections, func() {
		s.log.Warn("further connections have to wait until others end", "connections", connections,
			"try", "fewer clients, or a higher limit on open files (ulimit -n)")
	})
}

// shortOfFiles says why the disk stands still.
func (s *Server) shortOfFiles(err error) {
	s.log.Error("the disk waits until more files can be opened", "error", err,
		"try", "see what has so many files open on this machine; a higher limit on open files (ulimit -n)")
}

// unusable says why a server cannot listen, and what to try.
func unusable(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen at %s: %w: another process is using the port; stop that one, or choose another port", address, syscall.EADDRINUSE)
	}
	return fmt.Errorf("listen: %w; choose an address of this machine", err)
}

// Address is the HOST:PORT at which the server listens.
func (s *Server) Address() string { return s.address }

// Syncs counts the syncs that the server's disk has done.
func (s *Server) Syncs() uint64 { return s.disk.Syncs() }

// Serves reports whether the node has recovered, or joined, and serves.
func (s *Server) Serves() (serves bool) {
	s.driver.Do(func() { serves = s.node.Node.Serves() })
	return serves
}

// Failed is closed when the node cannot go on; Err then says why.
func (s *Server) Failed() <-chan struct{} { return s.node.failed }

// Err is why the node failed. It is for use after Failed was closed.
func (s *Server) Err() error { return s.node.Node.Failed() }

// Served reports whether the node came to serve. It is for use after Failed was
// closed.
func (s *Server) Served() bool { return s.node.Serves() }

// Shutdown hands leadership over and ends the server: within ctx in order,
// beyond it at once.
func (s *Server) Shutdown(ctx context.Context) error {
	begun := time.Now()
	if s.driver.Post(s.node.Shutdown) {
		select {
		case <-s.node.done:
		case <-s.node.failed:
		case <-ctx.Done():
		}
	}
	s.Kill()
	s.log.Info("node stopped", "after", time.Since(begun))
	return ctx.Err()
}

// Kill ends the server at once, as the end of its process would, but for the
// writes that are under way.
func (s *Server) Kill() {
	s.stop.Do(func() {
		s.driver.Stop()
		s.network.Close()
		s.disk.Close()
		if err := s.folder.Close(); err != nil {
			s.log.Warn("close the data folder", "err", err)
		}
	})
}

// watched looks after every Flush whether the node has failed or is done.
type watched struct {
	*broker.Node
	failed, done       chan struct{}
	saidFail, saidDone bool
	access             *published
}

func (w *watched) Flush() {
	w.Node.Flush()
	w.access.look(w.Node)
	if w.Node.Failed() != nil && !w.saidFail {
		w.saidFail = true
		close(w.failed)
	}
	if w.Node.Done() && !w.saidDone {
		w.saidDone = true
		close(w.done)
	}
}

// seed draws the node's randomness for this life; the core draws the rest from it.
func seed() uint64 {
	var b [8]byte
	// It never fails: see crypto/rand.
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

var _ env.Process = (*watched)(nil)

// Inspect lays the replicas of the node open; see broker.Node.
func (s *Server) Inspect() (views []broker.GroupView) {
	s.driver.Do(func() { views = s.node.Node.Inspect() })
	return views
}

// Node is the node's number, 0 while it has none.
func (s *Server) Node() (id api.NodeID) {
	s.driver.Do(func() { _, id = s.node.Identity() })
	return id
}
