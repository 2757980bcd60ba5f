"""The store: candidates and their evaluations as OCI artifacts, known by digest.

    store.py      candidates and evaluations, found by fingerprint: `Store`
    artifact.py   manifests, descriptors and layers, the same bytes for the same content
    registry.py   manifests and blobs in an OCI registry
    layout.py     the same as an OCI image layout
    folder.py     the files of a layout in a folder
    bucket.py     the same in a bucket

    >>> store = open_store("oci://ghcr.io/owner/repository", environment)
    >>> stored = store.put_candidate(folder)
    >>> store.find("delay", fingerprint) == stored

A candidate is an artifact in the form of the CNCF ModelPack specification: the model as a layer of
weights, its rows as data sets, the manifest of the bundle as configuration. Its tag names model and
fingerprint, and is written last: what was cut off is never found. An evaluation is an artifact
whose `subject` is its candidate. A folder is for one machine, and a lock keeps its writers apart;
in a bucket conditional writes do. A registry has no compare-and-swap, so a tag that two set at once
is read again after it was set.

Whatever the place: what is read is held against its digest, and each failure becomes a `StoreError`
that names the place.
"""
