package main

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/osenv"
)

// What the machine can do without a broker, for comparison: the same records over
// loopback, three copies, each synced in groups, acknowledged by two. No raft, no
// offsets, no recovery.

const (
	bareCopies  = 3
	bareWindow  = 64 // batches under way at once
	bareFile    = 64 << 20
	sectorBytes = 4096
)

var bareNames = [bareCopies]string{"bare-1", "bare-2", "bare-3"}

// syncRate counts how often in a second 4 KiB can be written and synced, in a
// zero-filled file in a folder.
func syncRate(folder *osenv.Folder, d time.Duration) (float64, error) {
	file, err := zeroFilled(folder, "syncs")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	n, begun := 0, time.Now()
	for ; time.Since(begun) < d; n++ {
		if err := writeSynced(file, make([]byte, sectorBytes), int64(n*sectorBytes)%bareFile); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// bareStream gives the records per second of a stream of batches to three copies.
func bareStream(folder *osenv.Folder, size, perBatch int, d time.Duration) (float64, error) {
	batch := make([]byte, 4+size*perBatch)
	binary.LittleEndian.PutUint32(batch, uint32(size*perBatch))
	acks := make(chan bareAck, bareCopies*bareWindow)
	var links []net.Conn
	var wg sync.WaitGroup
	for i := range bareCopies {
		link, err := bareCopy(folder, bareNames[i], &wg, func(err error) { acks <- bareAck{i, err} })
		if err != nil {
			return 0, err
		}
		links = append(links, link)
	}
	sent, acked, majority, begun := 0, make([]int, bareCopies), 0, time.Now()
	for time.Since(begun) < d {
		for ; sent-slices.Min(acked) < bareWindow; sent++ {
			for _, link := range links {
				if _, err := link.Write(batch); err != nil {
					return 0, err
				}
			}
		}
		ack := <-acks
		if ack.err != nil {
			return 0, ack.err
		}
		acked[ack.copy]++
		majority = slices.Sorted(slices.Values(acked))[bareCopies/2]
	}
	took := time.Since(begun)
	for _, link := range links {
		link.Close()
	}
	go func() { wg.Wait(); close(acks) }()
	for range acks { // until the copies have ended
	}
	return float64(majority*perBatch) / took.Seconds(), nil
}

// bareAck says that a copy has synced one batch more.
type bareAck struct {
	copy int
	err  error
}

// bareCopy starts one copy and gives the link to it.
func bareCopy(folder *osenv.Folder, name string, wg *sync.WaitGroup, ack func(error)) (net.Conn, error) {
	file, err := zeroFilled(folder, name)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	link, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	in, err := l.Accept()
	if err != nil {
		return nil, err
	}
	batches := make(chan []byte, 2*bareWindow)
	wg.Go(func() {
		defer in.Close()
		defer close(batches)
		for {
			var head [4]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return
			}
			batch := make([]byte, binary.LittleEndian.Uint32(head[:]))
			if _, err := io.ReadFull(in, batch); err != nil {
				return
			}
			batches <- batch
		}
	})
	wg.Go(func() {
		defer file.Close()
		groupCommit(file, batches, ack)
	})
	return link, nil
}

// groupCommit writes and syncs all that has gathered, and acknowledges each batch.
func groupCommit(file osenv.File, batches <-chan []byte, ack func(error)) {
	var at int64
	for batch := range batches {
		group := [][]byte{batch}
		for len(batches) > 0 {
			group = append(group, <-batches)
		}
		var data []byte
		for _, b := range group {
			data = append(data, b...)
		}
		if at+int64(len(data)) > bareFile {
			at = 0
		}
		err := writeSynced(file, data, at)
		at += int64(len(data))
		for range group {
			ack(err)
		}
	}
}

func zeroFilled(folder *osenv.Folder, name string) (osenv.File, error) {
	file, err := folder.Open(name, true)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < bareFile; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros, at); err != nil {
			return nil, err
		}
	}
	return file, file.Sync()
}

func writeSynced(file osenv.File, data []byte, at int64) error {
	if _, err := file.WriteAt(data, at); err != nil {
		return err
	}
	return file.Sync()
}
