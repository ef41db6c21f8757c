package osenv

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

// writer writes and syncs one block after another.
type writer struct {
	tally
	disk  *Disk
	block []byte
	left  int
	done  chan struct{}
}

func (w *writer) Synced(t env.Ticket, err error) {
	if err != nil {
		panic(err)
	}
	if w.left == 0 {
		close(w.done)
		return
	}
	w.left--
	w.disk.WriteAt("journal/1", int64(t)%1024*int64(len(w.block)), w.block)
	w.disk.Sync(t+1, "journal/1")
}

// BenchmarkSync is a process that writes 4 KiB to a file of zeros and syncs it.
func BenchmarkSync(b *testing.B) {
	folder, err := OpenFolder(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	driver := NewDriver()
	disk := NewDisk(folder, driver)
	w := &writer{tally: *newTally(), disk: disk, block: make([]byte, 4096), left: b.N, done: make(chan struct{})}
	driver.Start(w)
	driver.Do(func() {
		disk.Create("journal/1", 1024*4096)
		disk.Sync(0, "journal/1")
	})
	<-w.done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
	driver.Stop()
	disk.Close()
	folder.Close()
}
