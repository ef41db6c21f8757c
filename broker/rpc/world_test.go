package rpc

import (
	"net"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/env/envtest"
	"github.com/reprise-mq/reprise/broker/osenv"
)

// world runs processes on the real disk, clock and network.
type world struct{ t *testing.T }

func (w world) Node(start envtest.Start) envtest.Host {
	h := &node{t: w.t, path: w.t.TempDir(), address: "127.0.0.1:0"}
	h.begin(start)
	w.t.Cleanup(h.Stop)
	return h
}

func (w world) Client(start envtest.Start) envtest.Host {
	h := &clientHost{driver: osenv.NewDriver()}
	h.network = NewClientNetwork(h.driver, Credentials{})
	h.driver.Start(start(h.driver.Clock(), nil, h.network))
	w.t.Cleanup(h.Stop)
	return h
}

// Nowhere is a port that was free a moment ago.
func (w world) Nowhere() env.Endpoint {
	l := listen(w.t, "127.0.0.1:0")
	defer l.Close()
	return env.Endpoint(l.Addr().String())
}

func (w world) Until(done func() bool) bool { return until(done) }

func until(done func() bool) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if done() {
			return true
		}
		time.Sleep(100 * time.Microsecond)
	}
	return done()
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// node is a whole node, put together as a program does it.
type node struct {
	t       *testing.T
	path    string
	address string
	folder  *osenv.Folder
	driver  *osenv.Driver
	disk    *osenv.Disk
	network *Network
	served  chan error
}

func (h *node) begin(start envtest.Start) {
	folder, err := osenv.OpenFolder(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	l := listen(h.t, h.address)
	h.address = l.Addr().String()
	h.folder, h.driver = folder, osenv.NewDriver()
	h.disk = osenv.NewDisk(folder, h.driver)
	h.network = NewNetwork(h.Address(), h.driver, Credentials{})
	h.driver.Start(start(h.driver.Clock(), h.disk, h.network))
	h.served = make(chan error, 1)
	go func() { h.served <- h.network.Serve(l) }()
}

func (h *node) Address() env.Endpoint { return env.Endpoint(h.address) }
func (h *node) Do(f func())           { h.driver.Do(f) }

func (h *node) Stop() {
	if h.folder == nil {
		return
	}
	h.network.Close()
	h.driver.Stop()
	h.disk.Close()
	h.folder.Close()
	h.folder = nil
	if err := <-h.served; err != nil {
		h.t.Errorf("serving ended with %v", err)
	}
}

func (h *node) Restart(start envtest.Start) {
	h.Stop()
	h.begin(start)
}

type clientHost struct {
	driver  *osenv.Driver
	network *ClientNetwork
}

func (h *clientHost) Address() env.Endpoint { return "" }
func (h *clientHost) Do(f func())           { h.driver.Do(f) }

func (h *clientHost) Stop() {
	h.network.Close()
	h.driver.Stop()
}

func (h *clientHost) Restart(envtest.Start) { panic("a client does not restart") }

func TestConformance(t *testing.T) {
	envtest.Run(t, func(t *testing.T) envtest.World { return world{t} })
}
