package osenv

import (
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/env/envtest"
)

// world runs processes on real disks and clocks, without a network.
type world struct{ t *testing.T }

func (w world) Node(start envtest.Start) envtest.Host {
	h := &host{t: w.t, path: w.t.TempDir()}
	h.begin(start)
	w.t.Cleanup(h.Stop)
	return h
}

func (w world) Client(envtest.Start) envtest.Host { panic("there is no network here") }
func (w world) Nowhere() env.Endpoint             { return "" }

func (w world) Until(done func() bool) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if done() {
			return true
		}
		time.Sleep(50 * time.Microsecond)
	}
	return done()
}

type host struct {
	t      *testing.T
	path   string
	folder *Folder
	driver *Driver
	disk   *Disk
}

func (h *host) begin(start envtest.Start) {
	folder, err := OpenFolder(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.folder, h.driver = folder, NewDriver()
	h.disk = NewDisk(folder, h.driver)
	h.driver.Start(start(h.driver.Clock(), h.disk, nil))
}

func (h *host) Address() env.Endpoint { return "" }
func (h *host) Do(f func())           { h.driver.Do(f) }

func (h *host) Stop() {
	if h.folder == nil {
		return
	}
	h.driver.Stop()
	h.disk.Close()
	h.folder.Close()
	h.folder = nil
}

func (h *host) Restart(start envtest.Start) {
	h.Stop()
	h.begin(start)
}

func TestConformance(t *testing.T) {
	envtest.RunLocal(t, func(t *testing.T) envtest.World { return world{t} })
}
