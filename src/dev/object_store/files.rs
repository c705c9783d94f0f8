//! The store's operations: those of s3s-fs on files, and those on CORS rules, which s3s-fs lacks.

use axum::http::HeaderName;
use s3s::dto::{
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketCorsInput,
    GetBucketCorsOutput, PutBucketCorsInput, PutBucketCorsOutput, PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::cors::BucketRules;
use super::digest;

/// A folder of buckets.
pub(super) struct Files {
    pub files: FileSystem,
    pub cors: BucketRules,
}

/// Implements S3 by the functions in braces and, as s3s-fs does them, the operations after; any other is not implemented.
macro_rules! implement_s3 {
    ({ $($own:tt)* } $($operation:ident($input:ident) -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Files {
            $($own)*

            $(
                async fn $operation(
                    &self,
                    request: S3Request<s3s::dto::$input>,
                ) -> S3Result<S3Response<s3s::dto::$output>> {
                    self.files.$operation(request).await
                }
            )*
        }
    };
}

implement_s3! {
    {
        async fn get_bucket_cors(
            &self,
            request: S3Request<GetBucketCorsInput>,
        ) -> S3Result<S3Response<GetBucketCorsOutput>> {
            let cors_rules = self.cors.find(&request.input.bucket).await;
            if cors_rules.is_none() {
                return Err(s3_error!(NoSuchCORSConfiguration, "The CORS configuration does not exist"));
            }
            Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
        }

        async fn put_bucket_cors(
            &self,
            request: S3Request<PutBucketCorsInput>,
        ) -> S3Result<S3Response<PutBucketCorsOutput>> {
            let mut names = request.headers.keys().map(HeaderName::as_str);
            if !names.any(|name| name == "content-md5" || name.starts_with("x-amz-checksum-")) {
                return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
            }
            let PutBucketCorsInput { bucket, cors_configuration, .. } = request.input;
            self.cors.set(&bucket, cors_configuration.cors_rules).await?;
            Ok(S3Response::new(PutBucketCorsOutput {}))
        }

        async fn put_object(
            &self,
            mut request: S3Request<PutObjectInput>,
        ) -> S3Result<S3Response<PutObjectOutput>> {
            let promised = request.input.body.take_if(|_| request.input.checksum_sha256.is_some());
            let (Some(body), Some(sha256)) = (promised, request.input.checksum_sha256.clone()) else {
                return self.files.put_object(request).await;
            };
            let (body, verdict) = digest::checked(body, sha256);
            request.input.body = Some(body);
            let stored = self.files.put_object(request).await;
            if verdict.is_bad() { Err(s3_error!(BadDigest, "The SHA-256 is another than the one given")) } else { stored }
        }

        async fn delete_bucket_cors(
            &self,
            request: S3Request<DeleteBucketCorsInput>,
        ) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
            self.cors.remove(&request.input.bucket).await?;
            Ok(S3Response::new(DeleteBucketCorsOutput {}))
        }

        async fn delete_bucket(
            &self,
            request: S3Request<DeleteBucketInput>,
        ) -> S3Result<S3Response<DeleteBucketOutput>> {
            let bucket = request.input.bucket.clone();
            let response = self.files.delete_bucket(request).await?;
            self.cors.remove(&bucket).await?;
            Ok(response)
        }
    }

    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    copy_object(CopyObjectInput) -> CopyObjectOutput;
    create_bucket(CreateBucketInput) -> CreateBucketOutput;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    get_object(GetObjectInput) -> GetObjectOutput;
    head_bucket(HeadBucketInput) -> HeadBucketOutput;
    head_object(HeadObjectInput) -> HeadObjectOutput;
    list_buckets(ListBucketsInput) -> ListBucketsOutput;
    list_objects(ListObjectsInput) -> ListObjectsOutput;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    list_parts(ListPartsInput) -> ListPartsOutput;
    upload_part(UploadPartInput) -> UploadPartOutput;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
}
