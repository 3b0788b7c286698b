"""The messages that the fake AI Hub reads and writes; unknown fields are left alone.

Source: qai-hub 0.56.0, public_api_pb2.pyi.
"""

from harness.devices import protos

CLASSES = protos.classes(
    "harness.aihub",
    {
        "Device": {"name": (1, "string"), "os": (2, "string"), "attributes": (3, "string*")},
        "DeviceList": {"devices": (1, "Device*"), "total_query_count": (2, "int64")},
        "Model": {"model_id": (1, "string"), "name": (3, "string"), "model_type": (5, "int32")},
        "Dataset": {"dataset_id": (1, "string"), "name": (3, "string")},
        "User": {"id": (1, "int64"), "email": (4, "string")},
        "CreateUpdateResponse": {"id": (1, "string"), "status": (2, "string")},
        "FileUploadURL": {"url": (1, "string"), "file_field_name": (2, "string")},
        "FileMultipartUploadURL": {
            "urls": (1, "string*"), "upload_id": (2, "string"), "max_part_size": (3, "int64"),
        },
        "FileUploadResponse": {
            "url": (1, "FileUploadURL"), "multipart": (2, "FileMultipartUploadURL"),
        },
        "FileDownloadURL": {"url": (1, "string"), "filename": (2, "string")},
        "FileDownloadResponse": {"url": (1, "FileDownloadURL")},
        "InferenceJob": {
            "inference_job_id": (1, "string"), "model": (3, "Model"), "device": (4, "Device"),
            "job_state": (5, "int32"), "name": (6, "string"), "dataset": (7, "Dataset"),
            "failure_reason": (11, "string"), "options": (12, "string"),
        },
        "Job": {"inference_job": (2, "InferenceJob"), "failure_type": (9, "int32")},
        "Range": {"lower": (1, "int64"), "upper": (2, "int64")},
        "MemoryUsage": {"increase": (1, "Range"), "peak": (2, "Range")},
        "LayerDetail": {
            "name": (1, "string"), "compute_unit": (2, "int32"), "layer_type_name": (3, "string"),
            "id": (4, "string"), "delegate_name": (5, "string"), "execution_time": (7, "int64"),
        },
        "ToolVersion": {"name": (1, "string"), "version": (2, "string")},
        "ProfileDetail": {
            "execution_time": (1, "int64"), "layers": (4, "LayerDetail*"),
            "major_version": (5, "int64"), "minor_version": (6, "int64"),
            "cold_load_time": (19, "int64"), "warm_load_time": (21, "int64"),
            "execution_memory": (29, "MemoryUsage"), "all_execution_times": (33, "int64*"),
            "tool_versions": (36, "ToolVersion*"),
        },
        "InferenceJobResult": {
            "inference_job_id": (1, "string"), "output_dataset_id": (2, "string"),
            "detail": (3, "ProfileDetail"),
        },
        "JobResult": {"result": (2, "InferenceJobResult")},
    },
)  # fmt: skip
