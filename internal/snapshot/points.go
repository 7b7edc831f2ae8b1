package snapshot

// The fault points, in the order in which a checkpoint passes them. Each stands before the step it is named after, except
// those that end in "ed", which stand after it.
const (
	PointCreate = "snapshot.create"  // a data file gets its name
	PointSync   = "snapshot.sync"    // its content becomes durable
	PointSynced = "snapshot.synced"  // it is durable, its name need not be
	PointNames  = "snapshot.dirsync" // the names of data files become durable
	PointWrite  = "manifest.write"   // manifest and copy are written under temporary names

	PointManSync    = "manifest.sync"      // the content of one of them becomes durable
	PointCopyRename = "manifest.copy"      // the copy gets its name
	PointRename     = "manifest.rename"    // the manifest gets its name
	PointDirSync    = "manifest.dirsync"   // both names become durable: the epoch is decided
	PointPublished  = "manifest.published" // it is decided, TERM does not know it yet
	PointTerm       = "term.write"         // TERM is written anew, with a term or with the published epoch
	PointTermRename = "term.rename"        // it gets its name
	PointTermed     = "term.written"       // it is durable
	PointRemove     = "retire.remove"      // a manifest or data file that nobody needs is removed
)

// Points lists all fault points.
var Points = []string{
	PointCreate, PointSync, PointSynced, PointNames, PointWrite, PointManSync, PointCopyRename, PointRename, PointDirSync,
	PointPublished, PointTerm, PointTermRename, PointTermed, PointRemove,
}

func hit(f func(string) error, point string) error {
	if f == nil {
		return nil
	}
	return f(point)
}
