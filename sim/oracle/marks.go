package oracle

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
)

// checkMarks holds what an update that has become durable says about segments
// against the platter.
func (o *Oracle) checkMarks(h *host, u journal.Update) {
	if in := u.Install; in != nil && in.Index > 0 && !h.disk.Rotten() {
		folder := folderName(u.Group, in.Replica, in.Folder)
		if last := lastOnPlatter(h, u.Group, folder); last < in.Index {
			o.fail(MarkNotDurable, "%s: the journal says that group %d stands in %s up to index %d, and the platter has it up to %d",
				h.name, u.Group, folder, in.Index, last)
		}
	}
	im := h.durable.image(u.Group)
	if c := u.Checkpoint; c != nil && im != nil && im.checkpoint == *c {
		folder := folderName(u.Group, im.replica, im.folder)
		name := fmt.Sprintf("%s%020d.seg", folder, uint64(c.Segment))
		o.checkSynced(h, name, c.Length)
		for _, older := range h.disk.Names() {
			if strings.HasPrefix(older, folder) && older < name {
				o.checkSynced(h, older, int64(len(h.disk.Contents(older))))
			}
		}
	}
}

// checkSynced holds a file to being on the platter up to a length.
func (o *Oracle) checkSynced(h *host, name string, length int64) {
	if !h.disk.Whole(name) {
		return // damaged since, and perhaps about to be mended
	}
	seen, platter := h.disk.Contents(name), h.disk.Platter(name)
	if int64(len(platter)) < length || int64(len(seen)) < length || !bytes.Equal(seen[:length], platter[:length]) {
		o.fail(MarkNotDurable, "%s: the journal says that %s is synced up to byte %d, and it is not", h.name, name, length)
	}
}

// folderName is where the segments of a group's log stand.
func folderName(group api.GroupID, replica api.ReplicaID, folder uint64) string {
	return fmt.Sprintf("%s%d/%d-%d/", groupsFolder, group, replica, folder)
}

// lastOnPlatter is the index up to which a folder's segments are on the platter.
func lastOnPlatter(h *host, group api.GroupID, folder string) api.Index {
	var last api.Index
	for _, name := range h.disk.Names() {
		if !strings.HasPrefix(name, folder) {
			continue
		}
		data := h.disk.Platter(name)
		for len(data) > 0 {
			f, rest, err := segment.DecodeFrame(group, data)
			if err != nil {
				return last
			}
			last = max(last, f.Index)
			data = rest
		}
	}
	return last
}
