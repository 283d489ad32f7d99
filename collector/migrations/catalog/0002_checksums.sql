-- What each segment file must hold: a CRC-32 of every 16 KiB of it, compared at every read. Kept
-- here and not in the file, so that it also covers the file's own description of itself. Files
-- that were written before have none, and are read unchecked until a merge writes them again.

ALTER TABLE segment ADD COLUMN sums BLOB NOT NULL DEFAULT x'';
