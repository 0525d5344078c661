"""Corpora of vertices over time (VOCASET, BIWI), read with coefficients fitted on the user's head.

- `bounded`: bounded least squares of many frames at once: exact, by block principal pivoting.
- `fitting`: fit of 52 coefficients to recorded vertices, frame by frame, and its residual in mm.
- `folders`: folders of vertex recordings: VOCASET as published, or as FaceFormer takes it.
- `layout`: VOCASET layout: vertices over time, to which 52 coefficients are fitted.
- `meshes`: `VertexMeshes`: the recordings of a folder on a head of their topology.
- `scores`: LVE on a corpus' own vertices: predictions of any system by FaceFormer's protocol.
- `recordings`: vertex recordings: meshes over time in a memory-mapped file, official splits.
"""
